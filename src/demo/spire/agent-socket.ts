import { Door, type StreamRpc } from "./door.ts";

/** A socket of the agent, which can go away and come back while its clients live. */
export class AgentSocket implements AsyncDisposable {
  readonly path: string;
  readonly #mode: number;
  readonly #rpcs: readonly StreamRpc[];
  #door: Door | undefined;

  private constructor(path: string, mode: number, rpcs: readonly StreamRpc[]) {
    this.path = path;
    this.#mode = mode;
    this.#rpcs = rpcs;
  }

  /** @throws MeshError `unavailable` */
  static async open(path: string, mode: number, rpcs: readonly StreamRpc[]): Promise<AgentSocket> {
    const socket = new AgentSocket(path, mode, rpcs);
    await socket.resume();
    return socket;
  }

  /** Has nobody listen, as an agent that is down. Streams break. */
  async stop(): Promise<void> {
    const door = this.#door;
    this.#door = undefined;
    await door?.[Symbol.asyncDispose]();
  }

  /** Listens again where it did before. */
  async resume(): Promise<void> {
    this.#door ??= await Door.onSocket(this.path, this.#mode, this.#rpcs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
