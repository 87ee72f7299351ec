import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { certify, newCsr } from "../ca/client.ts";
import { demoClient } from "../commands/demo-client.ts";
import type { RunningPlane } from "../commands/running-plane.ts";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { systemClock } from "../system-host.ts";
import { timeLimit } from "../time-limit.ts";

/** How often each workload asks for another certificate: it learns of roots then, as ztunnels do at half of a life. */
const RENEW_MS = 500;
/** How often each calls each of the others. */
const CALL_MS = 100;
const CALL_LIMIT_MS = 5_000;

/** A workload of one cluster, with what its control plane gave it. */
interface Party {
  readonly cluster: string;
  readonly server: Server;
  material: Material;
}

interface Material {
  readonly key: string;
  /** Leaf first. */
  readonly cert: string;
  /** What it was told to trust. */
  readonly ca: string;
}

export interface HandshakeCounts {
  readonly completed: number;
  readonly refused: number;
  /** What was said of the first that were refused, with both clusters. */
  readonly why: readonly string[];
}

/**
 * Has a workload of each cluster call one of each other cluster, again and again, over mutual TLS with the certificates and
 * the roots that their control planes gave them: as ztunnels would, without a tunnel inside.
 */
export class Handshakes implements AsyncDisposable {
  readonly #parties: readonly Party[];
  readonly #stop = new AbortController();
  readonly #why: string[] = [];
  readonly #planes: readonly AskedPlane[];
  #completed = 0;
  #refused = 0;
  #running: readonly Promise<void>[] = [];

  private constructor(planes: readonly AskedPlane[], parties: readonly Party[]) {
    this.#planes = planes;
    this.#parties = parties;
    // As many as call at once.
    setMaxListeners(0, this.#stop.signal);
  }

  /** @throws MeshError if a control plane gives no certificate. */
  static async start(planes: readonly AskedPlane[], signal: AbortSignal): Promise<Handshakes> {
    const parties: Party[] = [];
    for (const plane of planes) {
      const material = await materialOf(plane, signal);
      const server = createServer(secured(material), (socket) => socket.end());
      server.on("tlsClientError", () => {});
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      parties.push({ cluster: plane.config.clusterId, server, material });
    }
    const watch = new Handshakes(planes, parties);
    watch.#run();
    return watch;
  }

  get counts(): HandshakeCounts {
    return { completed: this.#completed, refused: this.#refused, why: this.#why };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    await Promise.all(this.#parties.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  }

  #run(): void {
    const calls = this.#parties.flatMap((from) =>
      this.#parties.filter((to) => to !== from).map((to) => this.#often(CALL_MS, () => this.#call(from, to))),
    );
    const renewals = this.#parties.map((party, at) => this.#often(RENEW_MS, () => this.#renew(party, at)));
    this.#running = [...calls, ...renewals];
  }

  async #often(everyMs: number, deed: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await deed();
      await new Promise<void>((resolve) => void systemClock.after(everyMs, resolve));
    }
  }

  /** A control plane that does not answer leaves its workload with what it has. */
  async #renew(party: Party, at: number): Promise<void> {
    try {
      party.material = await materialOf(this.#planes[at]!, this.#stop.signal);
      party.server.setSecureContext(secured(party.material));
    } catch {
      // It is tried again in half a second.
    }
  }

  async #call(from: Party, to: Party): Promise<void> {
    using limit = timeLimit(systemClock, CALL_LIMIT_MS, this.#stop.signal);
    try {
      await handshake(from.material, (to.server.address() as AddressInfo).port, limit.signal);
      this.#completed += 1;
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      this.#refused += 1;
      if (this.#why.length < 5) this.#why.push(`${from.cluster} to ${to.cluster}: ${messageOf(thrown)}`);
    }
  }
}

/** A control plane of which certificates are asked. */
export type AskedPlane = RunningPlane & { readonly config: Config };

async function materialOf(running: AskedPlane, signal: AbortSignal): Promise<Material> {
  const { plane } = running;
  const { address, token, impersonate } = await demoClient(running);
  const roots = await readFile(plane.rootCertificateFile, "utf8");
  const asked = impersonate && formatServiceAccountId(impersonate);
  const csr = newCsr(asked);
  const request = { address, roots, token, clusterId: plane.localCluster, impersonate: asked, ttlSeconds: 0, signal };
  const elements = await certify(request, csr);
  const key = csr.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { key, cert: elements.slice(0, -1).join(""), ca: elements.at(-1)! };
}

const secured = ({ key, cert, ca }: Material) => ({ key, cert, ca, requestCert: true, rejectUnauthorized: true });

/** Resolves once both ends have believed each other: with TLS 1.3 the client hears of a refusal after its own half. */
function handshake({ key, cert, ca }: Material, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // Whom a certificate is for, its roots aside, matters to policies; the names of workloads are no DNS names.
    const options = { host: "127.0.0.1", port, key, cert, ca, checkServerIdentity: () => undefined };
    const socket: TLSSocket = connect(options);
    const abort = (): void => void socket.destroy(new Error("no answer in time"));
    signal.addEventListener("abort", abort, { once: true });
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      settle();
    };
    socket.once("error", (error) => end(() => reject(error)));
    socket.once("end", () => end(resolve));
    socket.resume();
  });
}
