import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import type { Duplex } from "node:stream";
import { MeshError, messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { timeLimit } from "../time-limit.ts";
import { ApiError } from "./api.ts";
import { PORT_FORWARD_PROTOCOL } from "./port-forward-channels.ts";
import { PortForwardSocket } from "./port-forward-socket.ts";
import { openWebSocket, type WebSocketServer } from "./web-socket.ts";

/** A port on which a process of a pod listens, be it on its loopback address only. */
export interface PodPort {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/** What one page of a pod may cost: its mesh may have 100,000 workloads. */
export interface PodPageLimits {
  readonly bytesMax: number;
  /** All in all, also for the connection. */
  readonly pageMs: number;
}

export const POD_PAGE_LIMITS: PodPageLimits = { bytesMax: 256 * 1024 * 1024, pageMs: 30_000 };

/** Pages of pods by HTTP, through their API server's port-forward; each pod has one connection, which is kept. ⇄ */
export class PodPages {
  readonly #server: WebSocketServer;
  readonly #cluster: string;
  readonly #limits: PodPageLimits;
  readonly #agents = new Map<string, PodAgent>();
  readonly #closing = new AbortController();

  /** @param cluster begins each error, as `context east`. */
  constructor(server: WebSocketServer, cluster: string, limits: Partial<PodPageLimits> = {}) {
    this.#server = server;
    this.#cluster = cluster;
    this.#limits = { ...POD_PAGE_LIMITS, ...limits };
  }

  /**
   * What a pod answers to a GET.
   * @param path with its query.
   * @throws MeshError naming the cluster, the pod and the port: `absent` if it answers 404, `denied` if we may not forward
   *   ports, `exhausted` if the page is too long, `timeout`, else `unavailable`. The detail of what it answered has `status`
   *   and `said`.
   */
  async get(pod: PodPort, path: string, signal: AbortSignal): Promise<string> {
    const where = `${this.#cluster}: port ${pod.port} of pod ${pod.namespace}/${pod.name}`;
    using limit = timeLimit(this.#server.clock, this.#limits.pageMs, signal);
    const page = { agent: this.#agentOf(pod), path, bytesMax: this.#limits.bytesMax };
    const { status, text } = await read(page, limit.signal).catch((thrown: unknown) => {
      if (limit.signal.aborted && !signal.aborted && !this.#closing.signal.aborted)
        throw new MeshError("timeout", `${where} did not answer ${path} in ${this.#limits.pageMs / 1000} s`);
      throw unreachable(where, thrown);
    });
    if (status === 200) return text;
    const said = printable(text.split("\n", 1)[0]!.trim(), 400);
    const code = status === 404 ? "absent" : "unavailable";
    throw new MeshError(code, `${where} answered ${path} with ${status}: ${said}`, { status, said });
  }

  /** Ends what is under way, too. */
  close(): void {
    this.#closing.abort();
    for (const agent of this.#agents.values()) agent.close();
    this.#agents.clear();
  }

  #agentOf(pod: PodPort): PodAgent {
    const key = `${pod.namespace}/${pod.name}:${pod.port}`;
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const agent = new PodAgent(() => dial(this.#server, pod, this.#closing.signal));
    this.#agents.set(key, agent);
    return agent;
  }
}

async function dial(server: WebSocketServer, { namespace, name, port }: PodPort, signal: AbortSignal): Promise<Duplex> {
  const pod = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
  const limit = timeLimit(server.clock, server.limits.callMs, signal);
  const path = `${pod}/portforward?ports=${port}`;
  return new PortForwardSocket(
    await openWebSocket(server, path, PORT_FORWARD_PROTOCOL, limit.signal).finally(() => limit[Symbol.dispose]()),
  );
}

/** One connection at a time, made when it is needed. Node's own handling of kept sockets is for TCP only. */
class PodAgent extends Agent {
  readonly #dial: () => Promise<Duplex>;
  readonly #sockets = new Set<Duplex>();

  constructor(dial: () => Promise<Duplex>) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#dial = dial;
  }

  override createConnection(_: unknown, done: (error: Error | null, socket?: Duplex) => void): undefined {
    this.#dial().then(
      (socket) => {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
        done(null, socket);
      },
      (thrown: unknown) => done(thrown as Error),
    );
  }

  override keepSocketAlive(): boolean {
    return true;
  }

  override reuseSocket(_: unknown, request: ClientRequest): void {
    request.reusedSocket = true;
  }

  close(): void {
    this.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

interface Page {
  readonly agent: Agent;
  readonly path: string;
  readonly bytesMax: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Asks again, once, if a connection that was at rest broke under the question. */
async function read(page: Page, signal: AbortSignal): Promise<Answer> {
  const first = await readOnce(page, signal);
  return "status" in first ? first : answered(await readOnce(page, signal));
}

function answered(answer: Answer | Error): Answer {
  if ("status" in answer) return answer;
  throw answer;
}

/** @returns an Error if a connection that had been used before broke. */
function readOnce({ agent, path, bytesMax }: Page, signal: AbortSignal): Promise<Answer | Error> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      agent,
      path,
      host: "localhost",
      signal,
      headers: { accept: "application/json, */*" },
    });
    let heard = false;
    request.on("error", (error) =>
      request.reusedSocket && !heard && !signal.aborted ? resolve(error) : reject(error),
    );
    request.on("response", (response) => {
      heard = true;
      textOf(response, bytesMax).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    request.end();
  });
}

async function textOf(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new MeshError("exhausted", `its answer is longer than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function unreachable(where: string, thrown: unknown): MeshError {
  const code = thrown instanceof MeshError ? thrown.code : "unavailable";
  const fix =
    thrown instanceof ApiError && thrown.status === 403
      ? "; grant the verbs get and create on pods/portforward in that namespace"
      : "";
  return new MeshError(code, `${where} cannot be reached: ${messageOf(thrown)}${fix}`, {}, { cause: thrown });
}
