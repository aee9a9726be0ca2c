"""Virtual shards: a cut, an owner and a tree that do not know how many ranks there are."""

from hypothesis import given
from hypothesis import strategies as st

from allgrad.dist.reproducible.shards import Span, cut, fold, owned, subtrees


def written(node: Span, formed: dict[Span, str]) -> str:
    """The order of all additions below *node*, written down."""

    def known(node: Span) -> str | None:
        return formed.get(node) or (str(node[0]) if node[1] - node[0] == 1 else None)

    return fold(node, known, lambda a, b: f"({a}+{b})")


@given(st.integers(0, 100), st.integers(1, 20))
def test_a_cut_gives_everything_away_as_equally_as_can_be(total: int, parts: int) -> None:
    sizes = cut(total, parts)
    assert (sum(sizes), len(sizes)) == (total, parts)
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


@given(st.integers(1, 40), st.data())
def test_every_shard_has_one_owner_and_every_rank_a_shard(shards: int, data: st.DataObject) -> None:
    ranks = data.draw(st.integers(1, shards))
    spans = [owned(rank, ranks, shards) for rank in range(ranks)]
    assert [shard for span in spans for shard in range(*span)] == list(range(shards))
    assert all(start < end for start, end in spans)


@given(st.integers(1, 40), st.data())
def test_sums_formed_by_any_number_of_ranks_are_added_in_one_order(shards: int, data: st.DataObject) -> None:
    ranks = data.draw(st.integers(1, shards))
    formed = {}
    for rank in range(ranks):
        nodes = subtrees(owned(rank, ranks, shards), (0, shards))
        assert len(nodes) <= 2 * shards.bit_length()
        formed.update({node: written(node, {}) for node in nodes})
    assert written((0, shards), formed) == written((0, shards), {})
