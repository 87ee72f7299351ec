import { createServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { type Bench, cost, type Report } from "./bench.ts";
import { Clients } from "./clients.ts";
import { benchCertificate, BenchPlane } from "./plane.ts";
import { ADDRESS_TYPE } from "../src/xds/resource.ts";

const SIZES = [1_000, 10_000, 100_000];
const ROUNDS = 7;

/** How long a fresh TLS client takes to get the whole mesh, against the same bytes over plain TLS. */
async function run(report: Report): Promise<void> {
  const certificate = await benchCertificate();
  using clients = new Clients();
  for (const size of SIZES) {
    const plane = new BenchPlane(size);
    const { port, server } = await plane.listen(certificate);
    const order = { do: "snapshot", port, root: certificate.root, remember: false } as const;
    // The first client also pays for the slices that all later ones share.
    await clients.run(order);
    const ours: number[] = [];
    const bare: number[] = [];
    const { bytes } = plane.logs.get(ADDRESS_TYPE)!;
    const body = Buffer.alloc(bytes);
    const raw = createServer({ cert: certificate.chain, key: certificate.key }, (socket: TLSSocket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(body));
    });
    await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
    const rawPort = (raw.address() as AddressInfo).port;
    for (let round = 0; round < ROUNDS; round += 1) {
      ours.push((await clients.run(order)).ms);
      bare.push((await clients.run({ do: "raw", port: rawPort, root: certificate.root, bytes })).ms);
    }
    report(cost(`snapshot.${size}-workloads`, middle(ours), "ms", middle(bare)));
    raw.close();
    await server.close(0);
  }
}

const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

export const bench: Bench = { name: "snapshot", run };
