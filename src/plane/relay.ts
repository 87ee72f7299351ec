import { newAuthorityRequest } from "../ca/authority-request.ts";
import { MeshError } from "../errors.ts";
import type { ClusterId } from "../names.ts";
import type { Problem } from "../registry/model/problem.ts";
import { RelayAgent } from "../relay/agent.ts";
import { GrpcRelay } from "../relay/dial.ts";
import type { AuthorityUpdate } from "../relay/installed.ts";
import { RelayLink } from "../relay/link.ts";
import type { Order } from "../relay/messages.ts";
import type { RelayView } from "../relay/relay-view.ts";
import type { RelayTransport } from "../relay/transport.ts";
import { VERSION } from "../version.ts";
import type { AuthorityContext, AuthoritySource } from "./authority-source.ts";
import type { Clusters, WriterElection } from "./clusters.ts";
import type { RelaySink } from "./relay-sink.ts";
import { RelayFolder } from "./relay-folder.ts";
import { restartNotes } from "./relay-restarts.ts";
import { relayOff, relayView } from "./relay-view-of.ts";

/** One replica has the stream, whatever its revision: what it writes is about the whole cluster. */
const LEASE = "causeway-trust-relay";

/** What a control plane has to do with a trust manager. */
export interface Relay {
  /** Before the clusters are read, as some of what they are is written here. @throws MeshError */
  start(clusters: Pick<Clusters, "election">): Promise<void>;
  /** There is an authority, and the manager hears of it now. */
  noteAuthority(): void;
  /** @param why there is no authority; undefined if there is one. */
  waitingFor(why: string | undefined): string | undefined;
  view(): RelayView;
  problems(): readonly Problem[];
  /** Idempotent. */
  close(): Promise<void>;
}

export interface RelayContext extends AuthorityContext {
  readonly cluster: ClusterId;
  readonly authority: Pick<AuthoritySource, "use" | "look">;
  /** gRPC to the manager of the configuration, unless given. */
  readonly transport?: RelayTransport;
}

/** @param openRelaySink folders, unless given. */
export function openRelay(
  context: RelayContext,
  { openRelaySink }: { readonly openRelaySink?: (context: AuthorityContext) => RelaySink },
): Relay {
  const { host, config, cluster } = context;
  if (config.relay.manager === undefined) return new NoRelay(context);
  return new PlaneRelay(context, openRelaySink?.(context) ?? new RelayFolder(host, config, cluster));
}

class NoRelay implements Relay {
  readonly #context: RelayContext;

  constructor(context: RelayContext) {
    this.#context = context;
  }

  view(): RelayView {
    const { host, config, cluster, authority } = this.#context;
    return relayOff({ cluster, trustDomain: config.trustDomain, now: host.clock.now() }, authority.use());
  }
  waitingFor(why: string | undefined): string | undefined {
    return why;
  }
  problems(): readonly Problem[] {
    return [];
  }
  async start(): Promise<void> {}
  noteAuthority(): void {}
  async close(): Promise<void> {}
}

/** While this replica is the one: its stream, and the agent behind it. */
interface Duty {
  readonly link: RelayLink;
  readonly agent: RelayAgent;
}

/** A control plane that has its authority from a trust manager. It begins before there is any authority. */
class PlaneRelay implements Relay {
  readonly #context: RelayContext;
  readonly #sink: RelaySink;
  readonly #transport: RelayTransport;
  #duty: Duty | undefined;
  #ending: Promise<void> = Promise.resolve();
  #election: WriterElection | undefined;

  constructor(context: RelayContext, sink: RelaySink) {
    const { host, config } = context;
    this.#context = context;
    this.#sink = sink;
    this.#transport = context.transport ?? new GrpcRelay(host.clock, config.relay.manager!);
  }

  async start(clusters: Pick<Clusters, "election">): Promise<void> {
    await this.#sink.open();
    this.#election = clusters.election(LEASE);
    if (this.#election === undefined) this.#begin(() => true);
    this.#election?.observe((term) => (term === undefined ? void this.#end() : this.#begin(() => term.lives())));
    this.#election?.start();
  }

  noteAuthority(): void {
    this.#duty?.agent.poke();
  }

  waitingFor(why: string | undefined): string | undefined {
    return why && `waiting for the trust manager: ${this.#whyWaiting()}; ${why}`;
  }

  #whyWaiting(): string {
    const duty = this.#duty;
    if (duty === undefined) return "another replica asks it, or none does yet";
    const { link, agent } = duty;
    if (link.reason !== "") return link.reason;
    const [problem] = agent.problems;
    return (
      problem?.message ?? agent.waits[0] ?? (agent.order === undefined ? "it gave no order yet" : "it is taken up")
    );
  }

  view(): RelayView {
    const { host, config, cluster, authority } = this.#context;
    const sink = this.#sink;
    return relayView({
      ...{ cluster, trustDomain: config.trustDomain, now: host.clock.now(), manager: this.#transport.address },
      ...{ sink, use: authority.use(), ...this.#duty, restarts: restartNotes(this.#duty?.agent.order, this.#platform) },
      problems: this.problems().map(({ message }) => message),
    });
  }

  problems(): readonly Problem[] {
    const duty = this.#duty;
    if (duty === undefined) return [];
    const { link, agent } = duty;
    const object = `trust manager ${this.#transport.address}`;
    const problem = (message: string, severity: Problem["severity"]): Problem => ({
      ...{ object, origin: "", field: "", severity },
      message: `${message}.`,
    });
    return [
      ...(link.reason === "" ? [] : [problem(`It is away, and all goes on without it: ${link.reason}`, "warning")]),
      ...link.troubles.map((trouble) => problem(trouble, "warning")),
      // What the authority itself is refused for is said of it.
      ...agent.problems
        .filter(({ message }) => !(this.#context.authority.use()?.refusals ?? []).includes(message))
        .map(({ message, severity }) => problem(message, severity)),
    ];
  }

  async close(): Promise<void> {
    await this.#election?.close();
    await this.#end();
  }

  get #platform(): "kubernetes" | "embedded" {
    return this.#context.config.manifests.length === 0 ? "kubernetes" : "embedded";
  }

  #begin(lives: () => boolean): void {
    const { host, config, cluster, authority, noteProblems } = this.#context;
    const sink = this.#sink;
    const { trustDomain, rootWaitMs } = config;
    const write = async (update: AuthorityUpdate): Promise<void> => {
      if (!lives()) throw new MeshError("conflict", "another replica has the lease");
      await sink.install(update);
      void authority.look().then(() => agent.poke());
    };
    const agent = new RelayAgent(
      host,
      { cluster, version: VERSION, trustDomain, rootWaitMs },
      {
        makeRequest: (order: Order) => newAuthorityRequest({ ...order.intermediate, trustDomain: order.trustDomain }),
        send: (message) => link.send(message),
        look: () => sink.look(),
        install: write,
        govern: async (bounds) => {
          if (!lives()) throw new MeshError("conflict", "another replica has the lease");
          await sink.govern(bounds);
        },
        inUse: () => authority.use(),
        restarts: () => restartNotes(agent.order, this.#platform),
        changed: noteProblems,
      },
    );
    const link: RelayLink = new RelayLink(
      host,
      { transport: this.#transport, store: sink.identity, cluster },
      {
        connected: () => agent.connected(),
        received: (message) => agent.received(message),
        changed: noteProblems,
      },
    );
    this.#duty = { agent, link };
    agent.start();
    link.start();
  }

  #end(): Promise<void> {
    const duty = this.#duty;
    this.#duty = undefined;
    if (duty === undefined) return this.#ending;
    return (this.#ending = Promise.all([duty.link.close(), duty.agent.close()]).then(() => {}));
  }
}
