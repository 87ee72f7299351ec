// A pod of a test with a small ztunnel in front of it, in a process of its own: it follows the control plane, calls as ztunnel
// does, and answers with what it saw. argv: one JSON of `PodConfig`. It is asked over HTTP on a Unix socket.
import { createServer, type Server } from "node:http";
import { pathToFileURL } from "node:url";
import { nodeOf } from "../../src/commands/watch.ts";
import { networkId } from "../../src/names.ts";
import type { Policy } from "../../src/registry/model/policy.ts";
import { systemClock } from "../../src/system-host.ts";
import { DeltaClient, type DeltaUpdate } from "../../src/xds/delta-client.ts";
import { followXds } from "../../src/xds/follow.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import {
  echoServer,
  exchange,
  type HttpWords,
  type IncomingTunnel,
  openTunnel,
  serveTunnels,
  type Svid,
} from "../kits/hbone.ts";
import { HeldMesh } from "../kits/held-mesh.ts";
import { admitTunnel, type OwnPod, type Way, wayTo } from "../kits/small-ztunnel.ts";
import { decodePolicy } from "../kits/ztunnel-verdict.ts";

export interface PodConfig {
  readonly name: string;
  readonly address: string;
  readonly network: string;
  readonly cluster: string;
  readonly svid: Svid;
  readonly xds: { readonly address: string; readonly roots: string; readonly token: string };
  /** Path of the socket. */
  readonly control: string;
}

/** What a pod can be asked. */
export type PodAsk =
  /** Calls a host as an application would. */
  | ({ readonly ask: "call"; readonly host: string; readonly port: number } & HttpWords)
  /** Opens just this tunnel, and calls through it. `svid` is the pod's own by default. */
  | ({
      readonly ask: "tunnel";
      readonly way: Way;
      readonly outerHeaders?: Readonly<Record<string, string>>;
      readonly svid?: Svid;
    } & HttpWords)
  /** Calls again and again, from now on, so many at once. */
  | ({ readonly ask: "load"; readonly host: string; readonly port: number; readonly atOnce: number } & HttpWords)
  | { readonly ask: "loaded" }
  /** The tunnels that came in. */
  | { readonly ask: "seen" };

/** What came of a call: an answer, or why there is none. */
export interface PodAnswer {
  readonly status: number;
  readonly body: string;
  readonly error: string;
  /** Where the first tunnel led. */
  readonly via: string;
}

export interface LoadReport {
  readonly calls: number;
  readonly failures: readonly string[];
}

class Pod {
  readonly #config: PodConfig;
  readonly #own: OwnPod;
  readonly #mesh = new HeldMesh();
  readonly #policies = new Map<string, Policy>();
  readonly #seen: IncomingTunnel[] = [];
  readonly #app: Server;
  #load: { stopped: boolean; calls: number; failures: string[]; done: Promise<unknown> } | undefined;

  constructor(config: PodConfig) {
    this.#config = config;
    const { address, cluster, network, name } = config;
    this.#own = { address, cluster, network: networkId(network) };
    this.#app = echoServer(name, () => ({ cluster }));
  }

  async start(): Promise<void> {
    const { address, svid, xds, cluster } = this.#config;
    await serveTunnels({ ip: address, port: 15_008 }, svid, (tunnel) => this.#admit(tunnel));
    const target = { address: xds.address, roots: xds.roots, token: xds.token, clusterId: cluster };
    let heard = 0;
    await new Promise<void>((resolve, reject) => {
      followXds({
        target,
        client: new DeltaClient(nodeOf(xds.token), [ADDRESS_TYPE, AUTHORIZATION_TYPE]),
        clock: systemClock,
        signal: new AbortController().signal,
        onUpdate: (update) => {
          this.#take(update);
          if ((heard += 1) === 2) resolve();
        },
        onLost: (error) => console.log(`lost ${error.message}`),
      }).catch(reject);
    });
  }

  async answer(ask: PodAsk): Promise<PodAnswer | LoadReport | readonly IncomingTunnel[]> {
    switch (ask.ask) {
      case "call":
        return this.#call(ask);
      case "tunnel":
        return this.#through(ask.way, ask, ask);
      case "load":
        return this.#startLoad(ask);
      case "loaded":
        return this.#endLoad();
      case "seen":
        return this.#seen;
    }
  }

  #take({ typeUrl, resources, removed }: DeltaUpdate): void {
    if (typeUrl === ADDRESS_TYPE) return this.#mesh.take(resources, removed);
    for (const { name, body } of resources) this.#policies.set(name, decodePolicy(name, body));
    for (const name of removed) this.#policies.delete(name);
  }

  #admit(tunnel: IncomingTunnel): Server | number {
    const found = admitTunnel(this.#mesh, this.#policies.values(), this.#own, tunnel);
    this.#seen.push(tunnel);
    console.log(`inbound ${tunnel.authority} from ${tunnel.peer}: ${JSON.stringify(found)}`);
    return "status" in found ? found.status : this.#app;
  }

  async #call({
    host,
    port,
    ...words
  }: { readonly host: string; readonly port: number } & HttpWords): Promise<PodAnswer> {
    try {
      return await this.#through(wayTo(this.#mesh, this.#own, host, port), words);
    } catch (thrown) {
      return failed("", thrown);
    }
  }

  async #through(
    way: Way,
    words: HttpWords,
    {
      svid = this.#config.svid,
      outerHeaders = {},
    }: { readonly svid?: Svid; readonly outerHeaders?: Readonly<Record<string, string>> } = {},
  ): Promise<PodAnswer> {
    const via = `${way.ip}:${way.port}`;
    const closing: (() => void)[] = [];
    try {
      const outer = await openTunnel({ at: way, expected: way.expected }, svid, way.authority, outerHeaders);
      closing.push(outer.close);
      const { inner } = way;
      const last =
        inner === undefined
          ? outer
          : await openTunnel({ at: outer.stream, expected: inner.expected }, svid, way.authority, inner.headers);
      closing.push(last.close);
      const { status, body } = await exchange(last.stream, words);
      return { status, body, error: "", via };
    } catch (thrown) {
      return failed(via, thrown);
    } finally {
      for (const close of closing) close();
    }
  }

  #startLoad({ atOnce, ...asked }: Extract<PodAsk, { ask: "load" }>): LoadReport {
    const load = { stopped: false, calls: 0, failures: [] as string[], done: Promise.resolve() as Promise<unknown> };
    const worker = async (): Promise<void> => {
      while (!load.stopped) {
        const { status, error, body, via } = await this.#call(asked);
        load.calls += 1;
        if (status !== 200)
          load.failures.push(`${new Date().toISOString()} ${via}: ${status} ${error} ${body}`.slice(0, 300));
      }
    };
    load.done = Promise.all(Array.from({ length: atOnce }, worker));
    this.#load = load;
    return load;
  }

  async #endLoad(): Promise<LoadReport> {
    const load = this.#load!;
    load.stopped = true;
    await load.done;
    return { calls: load.calls, failures: load.failures };
  }
}

const failed = (via: string, thrown: unknown): PodAnswer => ({
  status: 0,
  body: "",
  error: (thrown as Error).message,
  via,
});

async function run(config: PodConfig): Promise<void> {
  const pod = new Pod(config);
  await pod.start();
  const control = createServer(async (asked, answer) => {
    let text = "";
    for await (const bytes of asked) text += String(bytes);
    answer.end(JSON.stringify(await pod.answer(JSON.parse(text) as PodAsk)));
  });
  control.listen(config.control, () => console.log("the pod is ready"));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await run(JSON.parse(process.argv[2]!) as PodConfig);
