import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServingCertificateMaterial } from "../../src/ca/serving-certificate.ts";
import { cost, type Report } from "../bench.ts";
import { BenchRoot } from "./authority.ts";
import { PeerFarm } from "./farm.ts";
import { clusterManifest, sharedService } from "./manifests.ts";
import { pause, percentile } from "./measures.ts";
import { PlaneProcess } from "./plane-process.ts";
import type { ReadingOrder } from "./reader-process.ts";
import { BareReaders } from "./readers.ts";

const PEERS = 500;
const SERVICES = 200;
const ROUNDS = 7;
const MIB = 1024 * 1024;
const machineNow = (): number => performance.timeOrigin + performance.now();

/** One control plane of whose 200 services 500 peers read (contract peering.md 2.16). */
export async function exportsTo500(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "causeway-bench-exports-"));
  const root = await BenchRoot.make(join(folder, "root"));
  const shown = { ...(await root.controlPlane("reader")), root: root.pem };
  const own = { cluster: "hub", address: "127.0.0.1", xdsPort: 15012, hbonePort: 15008 };
  const manifests = new Map([["hub.yaml", clusterManifest(own)]]);
  for (let at = 0; at < SERVICES; at += 1) manifests.set(`${at}.yaml`, sharedService(`cart-${at}`, 2));
  const plane = await PlaneProcess.prepare(root, folder, "hub", manifests);
  const readers = new BareReaders();
  try {
    const limit = await bareExports(shown);
    plane.start();
    const target = await plane.target();
    const port = Number(target.address.split(":")[1]);
    const places = Array.from({ length: PEERS }, (_, at) => ({ as: `peer-${at}`, address: "127.0.0.1", port }));
    await measure(plane, readers, { places, ...shown }, limit, report);
  } finally {
    readers[Symbol.dispose]();
    await plane.stop("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

interface Limit {
  readonly statesMs: number;
  readonly changeMs: number;
}

async function measure(
  plane: PlaneProcess,
  readers: BareReaders,
  order: ReadingOrder,
  { statesMs, changeMs }: Limit,
  report: Report,
): Promise<void> {
  const idle = plane.memory().now;
  const { ms } = await readers.read(order);
  report(cost("peers.exports-all-have-200", ms, "ms", statesMs));
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause(300);
    const last = readers.next();
    const start = machineNow();
    plane.write(`${round}.yaml`, sharedService(`cart-${round}`, 3));
    found.push((await last).at - start);
  }
  report(cost("peers.exports-change-reaches-last", percentile(found, 50), "ms", changeMs));
  const again = await readers.read(order);
  report(cost("peers.exports-all-return", again.ms, "ms", statesMs));
  report(cost("peers.exports-rss", plane.memory().now / MIB, "MiB", (again.bytes + idle) / MIB));
}

/** The same states and changes from a server that only writes what is ready. */
async function bareExports(shown: ServingCertificateMaterial & { readonly root: string }): Promise<Limit> {
  const farm = new PeerFarm(shown, PEERS, SERVICES);
  await farm.listen();
  using readers = new BareReaders();
  const places = farm.places.map(({ address, xdsPort: port }) => ({ as: "bare", address, port }));
  const { ms: statesMs } = await readers.read({ places, ...shown });
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause(300);
    const last = readers.next();
    const start = machineNow();
    for (const peer of farm.peers) peer.change(round);
    found.push((await last).at - start);
  }
  farm.close();
  return { statesMs, changeMs: percentile(found, 50) };
}
