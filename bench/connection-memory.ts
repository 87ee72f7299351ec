import { messagePrefix } from "../src/grpc/frames.ts";
import { ADDRESS_TYPE } from "../src/xds/resource.ts";
import { memoryInUse } from "./bench.ts";
import { Clients } from "./clients.ts";
import { bareHttp2, benchCertificate, BenchPlane } from "./plane.ts";

// A process of its own: what others left behind would be counted, or refilled without being counted.
const CONNECTIONS = 1_000;
const GROUP = 25;
const WORKLOADS = 1_000;

async function listen(certificate: Awaited<ReturnType<typeof benchCertificate>>): Promise<number> {
  const plane = new BenchPlane(WORKLOADS);
  if (process.argv[2] === "ours") return (await plane.listen(certificate)).port;
  // The same bytes: Node keeps a buffer of what was written at once to each TLS connection.
  const { bytes } = plane.logs.get(ADDRESS_TYPE)!;
  const answer = Buffer.concat([messagePrefix(bytes), Buffer.alloc(bytes)]);
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
// In groups, as they come in life: what all at once would have under way is not what a connection holds.
for (let open = 0; open < CONNECTIONS; open += GROUP) await more.run({ ...order, count: GROUP });
process.send!((resident() - before) / CONNECTIONS);
