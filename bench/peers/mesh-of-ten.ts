import { mkdtempSync, rmSync, watch, writeFileSync } from "node:fs";
import http2, { type ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Relay } from "../../src/demo/relay.ts";
import { cost, type Report } from "../bench.ts";
import { bareHttp2 } from "../plane.ts";
import { BenchRoot } from "./authority.ts";
import { percentile, pause } from "./measures.ts";
import { serviceNameOf } from "./records.ts";
import { SmallMesh } from "./small-mesh.ts";
import { BenchZtunnel } from "./ztunnel.ts";

const CLUSTERS = 10;
const SERVICES = 20;
const ROUNDS = 7;
/** Of the services that one cluster tells another, with their envelopes. */
const STATE_BYTES = SERVICES * 350;
const RECORD_BYTES = 350;

/** Ten control planes that all read each other: from nothing, after a change, after a restart of one. */
export async function meshOfTen(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "causeway-bench-mesh-"));
  const root = await BenchRoot.make(join(folder, "root"));
  const mesh = new SmallMesh(root, folder, CLUSTERS, SERVICES);
  try {
    const limit = await bareMesh(root, folder, mesh.links + CLUSTERS);
    await mesh.prepare();
    await new MeshBench(mesh, limit, report).run();
  } finally {
    await mesh.close();
    rmSync(folder, { recursive: true });
  }
}

interface Limit {
  readonly coldMs: number;
  readonly changeMs: number;
}

class MeshBench {
  readonly #mesh: SmallMesh;
  readonly #limit: Limit;
  readonly #report: Report;
  /** Of the service that was changed last. */
  #changed = "";
  #arrivals = 0;
  #onArrived: () => void = () => {};
  readonly #clients: readonly BenchZtunnel[];

  constructor(mesh: SmallMesh, limit: Limit, report: Report) {
    this.#mesh = mesh;
    this.#limit = limit;
    this.#report = report;
    this.#clients = mesh.clusters.map(() => new BenchZtunnel((service) => this.#arrived(service)));
  }

  async run(): Promise<void> {
    this.#report(cost("peers.ten-cold", await this.#cold(), "ms", this.#limit.coldMs));
    const found: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) found.push(await this.#change(round));
    this.#report(cost("peers.ten-change", percentile(found, 50), "ms", this.#limit.changeMs));
    this.#report(cost("peers.ten-restart", await this.#restart(), "ms", this.#limit.coldMs));
    for (const client of this.#clients) client.leave();
  }

  /** From the start of all until every client of every cluster has all services of all others. */
  async #cold(): Promise<number> {
    const start = performance.now();
    const { clusters, aggregates } = this.#mesh;
    await Promise.all(
      clusters.map(async (cluster, at) => {
        await cluster.start();
        this.#clients[at]!.follow(() => cluster.target());
      }),
    );
    await Promise.all(this.#clients.map((client) => client.until((held) => held.aggregates === aggregates, start)));
    await this.#live();
    return performance.now() - start;
  }

  /** From the save of a manifest until the last client of another cluster has it. */
  async #change(round: number): Promise<number> {
    await pause(300);
    const [cluster] = this.#mesh.clusters;
    this.#changed = `${cluster!.name}/shop/${serviceNameOf(cluster!.name, round)}`;
    this.#arrivals = 0;
    const all = new Promise<void>((resolve) => (this.#onArrived = resolve));
    const start = performance.now();
    cluster!.scale(round, 3);
    await all;
    return performance.now() - start;
  }

  /** From the start of one that was stopped until its client has confirmed all, and all links of all live. */
  async #restart(): Promise<number> {
    const [cluster] = this.#mesh.clusters;
    const [client] = this.#clients;
    client!.leave();
    await cluster!.stop();
    const start = performance.now();
    await cluster!.start();
    client!.follow(() => cluster!.target());
    await client!.until((held) => held.answers > 0 && held.aggregates === this.#mesh.aggregates, start);
    await this.#live();
    return performance.now() - start;
  }

  async #live(): Promise<void> {
    while (!this.#mesh.live) await pause(5);
  }

  #arrived(service: string): void {
    if (service !== this.#changed) return;
    this.#arrivals += 1;
    if (this.#arrivals === CLUSTERS - 1) this.#onArrived();
  }
}

/** The same handshakes and bytes through the same relay, and a save that is told to as many streams; nothing else. */
async function bareMesh(root: BenchRoot, folder: string, links: number): Promise<Limit> {
  const material = await root.controlPlane("bare");
  const streams: ServerHttp2Stream[] = [];
  const { port, server } = await bareHttp2(material, (stream) => {
    streams.push(stream);
    stream.write(Buffer.alloc(STATE_BYTES));
  });
  const relay = new Relay("127.0.0.1", () => port);
  const at = await relay.listen(0);
  const { chain: cert, key } = material;
  const options = { ca: root.pem, cert, key, servername: "istiod.istio-system.svc" };
  const sessions = Array.from({ length: links }, () => () => http2.connect(`https://127.0.0.1:${at}`, options));
  const start = performance.now();
  const opened = sessions.map((open) => open());
  const calls = opened.map((session) => session.request({ ":method": "POST", ":path": "/" }));
  await Promise.all(calls.map((call) => received(call, STATE_BYTES)));
  const coldMs = performance.now() - start;
  const file = join(folder, "saved");
  writeFileSync(file, "");
  const told = Promise.all(calls.slice(1, CLUSTERS).map((call) => received(call, RECORD_BYTES)));
  const watching = watch(folder, () => {
    watching.close();
    for (const stream of streams) stream.write(Buffer.alloc(RECORD_BYTES));
  });
  const saved = performance.now();
  writeFileSync(file, "replicas: 3");
  await told;
  const changeMs = performance.now() - saved;
  for (const session of opened) session.destroy();
  await relay.close();
  server.close();
  return { coldMs, changeMs };
}

/** Resolves once so many bytes have come. */
function received(call: http2.ClientHttp2Stream, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = bytes;
    call.on("error", reject);
    const take = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      call.off("data", take);
      resolve();
    };
    call.on("data", take);
  });
}
