import type { ServerHttp2Stream } from "node:http2";
import { messagePrefix } from "../src/grpc/frames.ts";
import { type Bench, cost, middle, type Report } from "./bench.ts";
import { Clients } from "./clients.ts";
import { bareHttp2, benchCertificate, BenchPlane } from "./plane.ts";

const STREAMS = [100, 1_000];
const WORKLOADS = 1_000;
const ROUNDS = 15;
/** Of a response with one workload. */
const MESSAGE_BYTES = 520;

const machineNow = (): number => performance.timeOrigin + performance.now();

/** From one endpoint change to the last of so many streams, against the same bytes written to as many bare streams. */
async function run(report: Report): Promise<void> {
  const certificate = await benchCertificate();
  for (const count of STREAMS) {
    const ours = await throughUs(count, certificate);
    const bare = await bareFanout(count, certificate);
    report(cost(`fanout.last-of-${count}-streams`, middle(ours), "ms", middle(bare)));
  }
}

async function throughUs(count: number, certificate: Awaited<ReturnType<typeof benchCertificate>>): Promise<number[]> {
  using clients = new Clients();
  const plane = new BenchPlane(WORKLOADS);
  const { port, server } = await plane.listen(certificate);
  await clients.run({ do: "streams", port, root: certificate.root, count, ack: true });
  const found: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    await pause();
    const start = machineNow();
    const last = clients.next();
    plane.change(round, round);
    found.push((await last).at - start);
  }
  void server.close(0);
  return found;
}

async function bareFanout(count: number, certificate: Awaited<ReturnType<typeof benchCertificate>>): Promise<number[]> {
  using clients = new Clients();
  const streams: ServerHttp2Stream[] = [];
  const message = Buffer.concat([messagePrefix(MESSAGE_BYTES), Buffer.alloc(MESSAGE_BYTES)]);
  const { port, server } = await bareHttp2(certificate, (stream) => {
    streams.push(stream);
    stream.resume();
    stream.write(message);
  });
  await clients.run({ do: "streams", port, root: certificate.root, count, ack: false });
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause();
    const start = machineNow();
    const last = clients.next();
    for (const stream of streams) stream.write(message);
    found.push((await last).at - start);
  }
  server.close();
  return found;
}

/** Until the answers to the last change are in. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200));

export const bench: Bench = { name: "fanout", run };
