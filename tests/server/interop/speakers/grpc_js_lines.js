// A client on @grpc/grpc-js: calls come as JSON lines, and go back as such.
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, api] = process.argv.slice(2);
const forms = { keepCase: true, longs: String, enums: String, bytes: String };
const protos = path.join(path.dirname(api), 'allgrad', 'proto');
const services = {
  ...loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(api), forms), // health and reflection; it garbles maps
  ...loader.loadSync(fs.readdirSync(protos).map((name) => path.join(protos, name)), {
    ...forms, includeDirs: [path.dirname(api)],
  }),
};
const client = new grpc.Client(address, grpc.credentials.createInsecure());

// proto-loader knows nothing of proto3 JSON: of its forms, names and durations are what the script needs.
function renamed(value, rename) {
  if (Array.isArray(value)) return value.map((each) => renamed(each, rename));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [rename(name), renamed(each, rename)]));
}
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

function duration(text) {
  const [seconds, fraction = ''] = text.slice(0, -1).split('.');
  return { seconds, nanos: Number(fraction.padEnd(9, '0')) };
}

function fields(request) {
  const message = renamed(request, snake);
  if (message.spec && message.spec.max_runtime) message.spec.max_runtime = duration(message.spec.max_runtime);
  return message;
}

function call({ method, requests, token }) {
  const [service, name] = method.split('/');
  const { path: place, requestStream, responseStream, requestSerialize, responseDeserialize } = services[service][name];
  const metadata = new grpc.Metadata();
  if (token) metadata.set('authorization', `Bearer ${token}`);
  const messages = requests.map(fields);
  return new Promise((resolve) => {
    const received = [];
    const end = (error) => {
      const [status] = error && error.metadata ? error.metadata.get('grpc-status-details-bin') : [];
      resolve({
        messages: received,
        code: error ? grpc.status[error.code] : 'OK',
        status: status ? status.toString('base64') : '',
      });
    };
    const answered = (error, message) => {
      if (!error) received.push(renamed(message, camel));
      end(error);
    };
    const how = [place, requestSerialize, responseDeserialize];
    let stream;
    if (requestStream && responseStream) stream = client.makeBidiStreamRequest(...how, metadata);
    else if (requestStream) stream = client.makeClientStreamRequest(...how, metadata, answered);
    else if (responseStream) stream = client.makeServerStreamRequest(...how, messages[0], metadata);
    else client.makeUnaryRequest(...how, messages[0], metadata, answered);
    if (requestStream) {
      messages.forEach((message) => stream.write(message));
      stream.end();
    }
    if (responseStream) {
      stream.on('data', (message) => received.push(renamed(message, camel)));
      stream.on('error', end);
      stream.on('end', () => end(null));
    }
  });
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await call(JSON.parse(line))));
  }
  client.close();
})();
