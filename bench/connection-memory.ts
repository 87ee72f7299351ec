import { messagePrefix } from "../src/grpc/frames.ts";
import { memoryInUse } from "./bench.ts";
import { Clients } from "./clients.ts";
import { bareHttp2, benchCertificate, BenchPlane } from "./plane.ts";

// A process of its own: what others left behind would be counted, or refilled without being counted.
const CONNECTIONS = 1_000;

async function listen(certificate: Awaited<ReturnType<typeof benchCertificate>>): Promise<number> {
  if (process.argv[2] === "ours") return (await new BenchPlane(100).listen(certificate)).port;
  const answer = Buffer.concat([messagePrefix(60), Buffer.alloc(60)]);
  return (await bareHttp2(certificate, (stream) => (stream.resume(), stream.write(answer)))).port;
}

function resident(): number {
  memoryInUse();
  return process.memoryUsage().rss;
}

const certificate = await benchCertificate();
const port = await listen(certificate);
using clients = new Clients();
const order = { do: "streams", port, root: certificate.root, ack: false } as const;
// Some first, so that what the first connections set up once is not counted.
await clients.run({ ...order, count: 100 });
using more = new Clients();
const before = resident();
await more.run({ ...order, count: CONNECTIONS });
process.send!((resident() - before) / CONNECTIONS);
