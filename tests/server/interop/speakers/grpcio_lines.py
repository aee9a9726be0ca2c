"""A client for any grpcio and protobuf, old ones too: calls come as JSON lines, and go back as such."""

import base64
import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

pool = descriptor_pool.DescriptorPool()
with open(sys.argv[2], "rb") as api:
    for file in descriptor_pb2.FileDescriptorSet.FromString(api.read()).file:
        pool.AddSerializedFile(file.SerializeToString())
factory = message_factory.MessageFactory(pool)
class_of = getattr(message_factory, "GetMessageClass", None) or factory.GetPrototype
channel = grpc.insecure_channel(sys.argv[1])


def call(method, requests, token):
    service, _, name = method.partition("/")
    found = pool.FindServiceByName(service).methods_by_name[name]
    shape = descriptor_pb2.MethodDescriptorProto()
    found.CopyToProto(shape)
    sends, receives = shape.client_streaming, shape.server_streaming
    kind = f"{'stream' if sends else 'unary'}_{'stream' if receives else 'unary'}"
    ask, answer = class_of(found.input_type), class_of(found.output_type)
    start = getattr(channel, kind)(f"/{method}", ask.SerializeToString, answer.FromString)
    messages = [json_format.ParseDict(request, ask()) for request in requests]
    metadata = [("authorization", f"Bearer {token}")] if token else []
    told = start(iter(messages) if sends else messages[0], timeout=60, metadata=metadata)
    return list(map(json_format.MessageToDict, told if receives else [told]))


for line in sys.stdin:
    asked = json.loads(line)
    said = {"messages": [], "code": "OK", "status": ""}
    try:
        said["messages"] = call(**asked)
    except grpc.RpcError as error:
        said["code"] = error.code().name
        trailing = dict(error.trailing_metadata() or ())
        said["status"] = base64.b64encode(trailing.get("grpc-status-details-bin", b"")).decode()
    print(json.dumps(said), flush=True)
