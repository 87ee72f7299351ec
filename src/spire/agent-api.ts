import { status } from "@grpc/grpc-js";
import { spire } from "../../proto/gen/mesh.js";
import type { MeshError } from "../errors.ts";
import type { EpochMs, Gauge, Host } from "../host.ts";
import { SparseLog } from "../sparse-log.ts";
import {
  type Bundles,
  bundlesOfWorkload,
  delegatedBundles,
  type DelegatedSvids,
  delegatedSvids,
  joined,
  svidsOfWorkload,
} from "./agent-messages.ts";
import { type AgentMethod, agentName, AgentStream } from "./agent-stream.ts";
import { selectorMessage } from "./server-messages.ts";
import type { AgentEvents, AgentSvids } from "./spire.ts";

/** How we and SPIRE's agent get on. */
export interface AgentStatus {
  readonly agent: string;
  readonly connected: boolean;
  /** Why it is not connected; undefined if it is, or has not been tried yet. */
  readonly error: string | undefined;
  /** When it last said something. */
  readonly saidAt: EpochMs | undefined;
}

/** Whose identities a delegate asks for: those of whoever has the selectors, or of a process that the agent attests. */
export type DelegatedTarget = { readonly selectors: readonly string[] } | { readonly pid: number };

export interface BundleEvents {
  /** By the name of the trust domain, in DER: replaces all that was said before. */
  said(bundles: Bundles): void;
  broke(why: Error): void;
}

export interface Following extends Disposable {
  readonly status: AgentStatus;
}

/** What our own entries give us, over the Workload API. No entry is a stream that breaks: register one. */
export function followWorkloadApi(host: Host, socketPath: string, events: AgentEvents): Following {
  const follower = new Follower(host, socketPath, "workload", events);
  const request = spire.WorkloadX509SvidRequest.encode({}).finish();
  follower.follow(FETCH_SVIDS, request, (svids) => events.said(svids));
  return follower;
}

/** The bundles alone, which an agent may tell those without an entry, too (`allow_unauthenticated_verifiers`). */
export function followWorkloadBundles(host: Host, socketPath: string, events: BundleEvents): Following {
  const follower = new Follower(host, socketPath, "bundles", events);
  const request = spire.WorkloadX509BundlesRequest.encode({}).finish();
  follower.follow(FETCH_BUNDLES, request, (bundles) => events.said(bundles));
  return follower;
}

/**
 * The identities of others, with their keys, over the agent's admin socket. The caller sees to it that a process is the
 * one that it was for as long as it follows it: numbers are given again.
 * @throws MeshError `invalid` for a selector that is none.
 */
export function followDelegated(
  host: Host,
  socketPath: string,
  target: DelegatedTarget,
  events: AgentEvents,
): Following {
  const asked = "pid" in target ? { pid: target.pid } : { selectors: target.selectors.map(selectorMessage) };
  const follower = new Follower(host, socketPath, "delegated", events);
  let svids: DelegatedSvids | undefined;
  let bundles: Bundles | undefined;
  const say = (): void => {
    if (svids !== undefined && bundles !== undefined) events.said(joined(svids, bundles));
  };
  follower.follow(SUBSCRIBE_SVIDS, spire.SubscribeToX509SvidsRequest.encode(asked).finish(), (said) => {
    svids = said;
    say();
  });
  follower.follow(SUBSCRIBE_BUNDLES, spire.SubscribeToX509BundlesRequest.encode({}).finish(), (said) => {
    bundles = said;
    say();
  });
  return follower;
}

/** Streams that are one to whoever follows: connected if all are. */
class Follower implements Following {
  readonly #host: Host;
  readonly #socketPath: string;
  readonly #api: string;
  readonly #events: Pick<AgentEvents, "broke">;
  readonly #log: SparseLog;
  readonly #connected: Gauge;
  readonly #streams: (Disposable & { readonly connected: boolean })[] = [];
  #error: string | undefined;
  #saidAt: EpochMs | undefined;

  constructor(host: Host, socketPath: string, api: string, events: Pick<AgentEvents, "broke">) {
    this.#host = host;
    this.#socketPath = socketPath;
    this.#api = api;
    this.#events = events;
    this.#log = new SparseLog(host.log.scope("spire"), host.clock);
    this.#connected = host.metrics.gauge("spire_agent_connected", "1 while SPIRE's agent tells us what it has.", [
      "api",
    ]);
    this.#connected.set(0, { api });
  }

  get status(): AgentStatus {
    const connected = this.#streams.every((stream) => stream.connected);
    return { agent: agentName(this.#socketPath), connected, error: this.#error, saidAt: this.#saidAt };
  }

  follow<T>(method: AgentMethod<T>, request: Uint8Array, said: (message: T) => void): void {
    const stream = new AgentStream(this.#host, this.#socketPath, method, request, {
      connected: () => this.#mended(),
      said: (message) => {
        this.#saidAt = this.#host.clock.now();
        said(message);
      },
      broke: (why) => this.#broke(why),
    });
    this.#streams.push(stream);
  }

  [Symbol.dispose](): void {
    for (const stream of this.#streams) stream[Symbol.dispose]();
    this.#connected.remove({ api: this.#api });
  }

  #mended(): void {
    if (!this.status.connected) return;
    this.#error = undefined;
    this.#connected.set(1, { api: this.#api });
    this.#host.log.scope("spire").info("SPIRE's agent answers", { agent: agentName(this.#socketPath), api: this.#api });
  }

  #broke(why: MeshError): void {
    this.#error = why.message;
    this.#connected.set(0, { api: this.#api });
    this.#log.warn("SPIRE's agent cannot be followed", { api: this.#api, why: why.message });
    this.#events.broke(why);
  }
}

const WORKLOAD_METADATA = { "workload.spiffe.io": "true" };
const NO_ENTRY =
  "no entry gives us an identity: register one with selectors of our pod and this node's agent as its parent";

const FETCH_SVIDS: AgentMethod<AgentSvids> = {
  path: "/SpiffeWorkloadAPI/FetchX509SVID",
  metadata: WORKLOAD_METADATA,
  decode: svidsOfWorkload,
  fix: workloadFix,
};

const FETCH_BUNDLES: AgentMethod<Bundles> = {
  path: "/SpiffeWorkloadAPI/FetchX509Bundles",
  metadata: WORKLOAD_METADATA,
  decode: bundlesOfWorkload,
  fix: workloadFix,
};

const SUBSCRIBE_SVIDS: AgentMethod<DelegatedSvids> = {
  path: "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509SVIDs",
  metadata: {},
  decode: delegatedSvids,
  fix: delegatedFix,
};

const SUBSCRIBE_BUNDLES: AgentMethod<Bundles> = {
  path: "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509Bundles",
  metadata: {},
  decode: delegatedBundles,
  fix: delegatedFix,
};

function workloadFix(code: status): string | undefined {
  if (code === status.PERMISSION_DENIED) return NO_ENTRY;
  if (code === status.UNIMPLEMENTED) return "this socket has no Workload API: name the agent's socket_path";
  return undefined;
}

function delegatedFix(code: status, words: string): string | undefined {
  if (code === status.PERMISSION_DENIED)
    return /authorized delegate/.test(words)
      ? "we are no delegate: name our identity in authorized_delegates of the agent's configuration"
      : NO_ENTRY;
  if (code === status.UNIMPLEMENTED)
    return "this socket has no DelegatedIdentity API: name the agent's admin_socket_path";
  if (code === status.UNAVAILABLE && words.includes("attestation failed"))
    return "it cannot attest us, or the process that we asked for: does that run, on this node, where the agent can see it?";
  return undefined;
}
