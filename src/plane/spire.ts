import { join } from "node:path";
import { readCertificate } from "../ca/certificate-fields.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import { MemoryFile } from "../memory-file.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { IdentityMode } from "../spire-config.ts";
import { takeFederated, takeOwn } from "../spire/agent-bundles.ts";
import { type AgentStatus, type Following, followWorkloadApi, followWorkloadBundles } from "../spire/agent-api.ts";
import { type HeldBundles, SpireBundles } from "../spire/bundles.ts";
import type { ServerStatus } from "../spire/calls.ts";
import { shownOf } from "../spire/own-proof.ts";
import { readBundles, writeBundles } from "../spire/remembered-bundles.ts";
import { GrpcSpireServer } from "../spire/server-api.ts";
import { ServerBundles } from "../spire/server-bundles.ts";
import type { AgentSvids } from "../spire/spire.ts";
import { AGENT, SERVER } from "../spire/status/bundle-checks.ts";
import type { OwnSvid } from "../spire/status/facts.ts";
import { problemsOf } from "./authority-source.ts";
import { spireProblems } from "./spire-problems.ts";

/** Whoever comes at once would be refused for the moments that SPIRE's first answer takes. */
const FIRST_ANSWER_MS = 1_000;
const LOSSES = {
  unread: "what SPIRE said before our last stop is lost, so it is asked anew",
  unwritten: "a restart forgets what SPIRE says",
};

export interface SpireEvents {
  /** What `bundles` holds has changed; whoever brought the change waits. */
  onBundles(): void;
  /** `problems` may have changed. */
  onProblems(): void;
}

/** For people. */
export interface SpireView {
  readonly identity: IdentityMode;
  readonly trustDomain: string;
  /** Undefined if none is asked. */
  readonly server: ServerStatus | undefined;
  /** Undefined if none is followed. */
  readonly agent: AgentStatus | undefined;
  /** What we show the server; undefined over its socket, or until the agent gives it. */
  readonly own: OwnSvid | undefined;
  readonly bundles: HeldBundles;
  readonly said: SaidOfBundles;
  readonly problems: readonly Problem[];
}

/** Who says what is held of a trust domain, when it last did, and why what it says now is not in use. */
export interface SaidOfBundles extends Pick<SpireBundles, "saidAt" | "refused"> {
  readonly source: (trustDomain: string) => string;
}

/** SPIRE, as this control plane knows it: its server, its agent on our node, and whom they say to trust. */
export class PlaneSpire {
  readonly bundles: SpireBundles;
  /** Undefined if none is named. */
  readonly server: GrpcSpireServer | undefined;
  readonly #host: Host;
  readonly #config: Config;
  readonly #events: SpireEvents;
  readonly #memory: MemoryFile;
  readonly #reading: ServerBundles | undefined;
  #agent: Following | undefined;
  /** What the agent says of us. */
  #said: AgentSvids | undefined;
  #told = "[]";
  #onKnown = (): void => {};

  constructor(host: Host, config: Config, events: SpireEvents) {
    const { trustDomain, stateDir, spire } = config;
    this.#host = host;
    this.#config = config;
    this.#events = events;
    this.#memory = new MemoryFile(host.log.scope("spire"), join(stateDir, "spire-bundles.json"), LOSSES);
    const onFaults = (): void => this.#noteProblems();
    this.bundles = new SpireBundles(host, { trustDomain, onChange: () => this.#changed(), onFaults });
    if (spire.server === undefined) return;
    this.server = new GrpcSpireServer(host, { address: spire.server, trustDomain, ownSvid: () => this.#said });
    // Where our own authority signs, SPIRE may register pods for a day to come: nobody shows its SVIDs yet.
    if (spire.identity === "mesh") return;
    const options = { federated: !this.#agentKnowsFederated, onTroubles: onFaults };
    this.#reading = new ServerBundles(host, this.server, this.bundles, options);
  }

  /** Resolves once what was remembered counts, and SPIRE has answered or was not quick to. */
  async start(): Promise<void> {
    const { spire, trustDomain } = this.#config;
    if (spire.identity !== "mesh") {
      const remembered = await this.#memory.read((text) => readBundles(text, trustDomain));
      if (remembered !== undefined) this.bundles.recall(remembered);
    }
    this.#followAgent();
    if (spire.identity === "mesh") return;
    void this.#reading?.start();
    const somebodyKnows = (this.#agent ?? this.#reading) !== undefined;
    if (somebodyKnows && this.bundles.own === undefined) await this.#soon();
  }

  /** Resolves once what the server knows now counts, or could not be had. */
  async refresh(): Promise<void> {
    await this.#reading?.refresh();
  }

  /** What SPIRE's agent says that we are; nothing where we are its server's operator. */
  get ownIds(): ReadonlySet<string> {
    return new Set(this.#said?.svids.map(({ spiffeId }) => spiffeId));
  }

  view(): SpireView {
    const { trustDomain, spire } = this.#config;
    return {
      ...{ identity: spire.identity, trustDomain },
      ...{ server: this.server?.status, agent: this.#agent?.status },
      ...{ own: this.#own, bundles: this.bundles.held, problems: this.problems() },
      said: {
        saidAt: (name) => this.bundles.saidAt(name),
        refused: this.bundles.refused,
        source: (name) => this.#sourceOf(name),
      },
    };
  }

  get #own(): OwnSvid | undefined {
    const svid = this.#said && shownOf(this.#said.svids);
    if (svid?.chain[0] === undefined) return undefined;
    const { notBefore, notAfter } = readCertificate(svid.chain[0]);
    return { spiffeId: svid.spiffeId, notBefore, notAfter };
  }

  #sourceOf(trustDomain: string): string {
    const isOwn = trustDomain === this.#config.trustDomain;
    const byAgent = isOwn ? this.server === undefined : this.#agentKnowsFederated;
    return byAgent ? AGENT : SERVER;
  }

  problems(): readonly Problem[] {
    const { trustDomain } = this.#config;
    return [
      ...spireProblems(this.#config, {
        server: this.#reading?.troubles ?? [],
        agent: this.#agent?.status,
        knowsRoots: this.bundles.own !== undefined,
      }),
      ...problemsOf(`SPIRE's trust domain ${trustDomain}`, this.bundles.faults),
    ];
  }

  async close(): Promise<void> {
    this.#reading?.close();
    this.#agent?.[Symbol.dispose]();
    this.server?.close();
    await this.#memory.close();
  }

  /** What reaches a server with an identity of its own may know its own bundle alone (contract identity.md 1.3). */
  get #agentKnowsFederated(): boolean {
    const { identity, server } = this.#config.spire;
    return server === undefined || (server.kind === "tcp" && identity !== "spire");
  }

  #followAgent(): void {
    const { server, agentSocket: socket } = this.#config.spire;
    if (socket === undefined || server?.kind === "socket") return;
    const broke = (): void => this.#noteProblems();
    if (server === undefined)
      this.#agent = followWorkloadBundles(this.#host, socket, { said: (said) => this.#heard(said), broke });
    else
      this.#agent = followWorkloadApi(this.#host, socket, {
        said: (said) => {
          const first = this.#said === undefined;
          this.#said = said;
          this.#heard(said.bundles);
          // What was asked before we had an identity failed.
          if (first) void this.refresh();
        },
        broke,
      });
  }

  #heard(said: AgentSvids["bundles"]): void {
    const { trustDomain, spire } = this.#config;
    if (spire.identity !== "mesh") {
      if (spire.server === undefined) takeOwn(this.bundles, said, trustDomain);
      if (this.#agentKnowsFederated) takeFederated(this.bundles, said, trustDomain);
    }
    this.#noteProblems();
  }

  #changed(): void {
    this.#memory.write(writeBundles(this.bundles.held));
    this.#events.onBundles();
    if (this.bundles.own !== undefined) this.#onKnown();
  }

  /** Not for every answer: all problems of a mesh are many. */
  #noteProblems(): void {
    const told = JSON.stringify(this.problems());
    if (told === this.#told) return;
    this.#told = told;
    this.#events.onProblems();
  }

  #soon(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#host.clock.after(FIRST_ANSWER_MS, resolve);
      this.#onKnown = () => {
        timer[Symbol.dispose]();
        resolve();
      };
    });
  }
}
