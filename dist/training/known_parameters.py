"""Whether a model still has the parameters that it was wrapped with: those whose gradients are reduced."""

from __future__ import annotations

from allgrad import nn

_STEPS_BETWEEN_LOOKS = 64


class KnownParameters:
    """The parameters of *module*, and which of them required a gradient when it was wrapped.

    To look at all of them takes some tens of µs: it is done every 64 steps, and after `look_again`. Those that were
    frozen are looked at in every step.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = list(module.parameters())
        self._module = module
        self._trained = {id(each): each for each in parameters if each.requires_grad}
        self._frozen = [each for each in parameters if not each.requires_grad]
        self._steps = 0

    def look_again(self) -> None:
        """Look at all parameters in the next step."""
        self._steps = 0

    def require(self) -> None:
        """Before a step: raise RuntimeError, naming them, for parameters whose gradients would stay this rank's own."""
        if self._steps % _STEPS_BETWEEN_LOOKS == 0 or any(each.requires_grad for each in self._frozen):
            self._look()
        self._steps += 1

    def _look(self) -> None:
        unknown = [
            name
            for name, each in self._module.named_parameters()
            if each.requires_grad and id(each) not in self._trained
        ]
        if unknown:
            raise RuntimeError(
                f"{', '.join(unknown)} of {type(self._module).__name__} were frozen or not there when it was wrapped, so that "
                "every rank would train its own: wrap it again, model = dist.DataParallel(model.module)"
            )
