import type { AuthorityUse } from "../ca/authority-use.ts";
import type { Authority } from "../ca/authority.ts";
import { LOOK_MS } from "../ca/cacerts-follower.ts";
import type { AuthorityFault } from "../ca/authority-keeper.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { AuthorityReport, isInUse, skewProblem } from "./agent-report.ts";
import { type AuthorityRequest, Asking } from "./asking.ts";
import { filesOf } from "./authority-files.ts";
import { type Deed, deedFor, readable } from "./deed.ts";
import { Governing } from "./governing.ts";
import type { AuthorityUpdate, Installed } from "./installed.ts";
import type { Bound, ClusterMessage, ClusterReport, ManagerMessage, Order } from "./messages.ts";
import { isLate, Renewal } from "./renewal.ts";
import { fingerprintOf } from "./wish.ts";

/** Said again though nothing changed, so that the manager knows how old what it knows is. */
const REPORT_MS = 60_000;
/** What follows on one another is one report. */
const GATHER_MS = 250;
/** Roots first, then a certificate, then what is left of that: more in one go means that somebody writes beside us. */
const DEEDS_MAX = 4;

/** All that the agent does to the world. What throws is a MeshError, and tried again. */
export interface AgentPort {
  /** A new key, and the request for what the order says. */
  makeRequest(order: Order): Promise<AuthorityRequest>;
  /** @returns false if no stream is open. */
  send(message: ClusterMessage): boolean;
  look(): Promise<Installed>;
  /** All files at once, or none. @throws MeshError `conflict` if what is there is not what the update replaces. */
  install(update: AuthorityUpdate): Promise<void>;
  /** Has bounds hold, in the place of those before; undefined: nothing is bounded. */
  govern(bounds: readonly Bound[] | undefined): Promise<void>;
  /** What the control plane does with what is installed; undefined until it uses any. */
  inUse(): AuthorityUse | undefined;
  /** What has to be restarted by an order, or was. */
  restarts(): readonly string[];
  /** After problems, waits or the order may have changed. */
  changed(): void;
}

export interface AgentOptions {
  readonly cluster: ClusterId;
  readonly version: string;
  readonly trustDomain: string;
  /** How long after a root is published every workload has it, and how long what was signed may live. */
  readonly rootWaitMs: number;
}

/**
 * A cluster's half of the relay, without I/O: what the trust manager orders is carried out where that takes nothing away,
 * and what is so is reported. With the manager away all goes on; what it ordered is in what is installed.
 */
export class RelayAgent {
  readonly #host: Host;
  readonly #options: AgentOptions;
  readonly #port: AgentPort;
  readonly #log: Logger;
  readonly #asking: Asking;
  readonly #governing: Governing;
  readonly #renewal: Renewal;
  readonly #authority = new AuthorityReport();
  #order: Order | undefined;
  /** Why the manager has none. */
  #noOrder = "";
  #installed: Installed = { kind: "unknown", why: "what is installed is not read yet" };
  /** Of what was read last: it costs a signature to see whether it can be used. */
  #read: { readonly digest: string; readonly found: Authority | string } = { digest: "", found: "" };
  #deed: Deed = { kind: "none" };
  /** Why it was not written. */
  #unwritten = "";
  #carriedOut = "";
  #managerClock: { readonly clock: EpochMs; readonly at: EpochMs } | undefined;
  #said = "";
  #round: Promise<void> | undefined;
  #again = false;
  #look: Disposable | undefined;
  #nextReport: Disposable | undefined;
  #closed = false;

  constructor(host: Host, options: AgentOptions, port: AgentPort) {
    this.#host = host;
    this.#options = options;
    this.#port = port;
    this.#log = host.log.scope("trust");
    const again = (): void => this.poke();
    this.#asking = new Asking(host, {
      makeRequest: (order) => port.makeRequest(order),
      send: (request) => port.send({ kind: "request", request }),
      changed: again,
    });
    this.#governing = new Governing(host, (bounds) => port.govern(bounds));
    this.#renewal = new Renewal(host.random);
  }

  start(): void {
    this.#lookAgain();
  }

  /** Resolves when nothing is being written any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#look?.[Symbol.dispose]();
    this.#nextReport?.[Symbol.dispose]();
    this.#asking.drop();
    await this.#round;
  }

  /** What may have changed is looked at now. */
  poke(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#round ??= this.#rounds().finally(() => (this.#round = undefined));
  }

  /** A stream is open. */
  connected(): void {
    const { cluster, version } = this.#options;
    this.#port.send({ kind: "hello", hello: { cluster, version, clock: this.#host.clock.now() } });
    this.#said = "";
    this.#asking.connected();
    this.poke();
  }

  received(message: ManagerMessage): void {
    if (message.kind === "ping") this.#managerClock = { clock: message.clock, at: this.#host.clock.now() };
    else if (message.kind === "order") this.#ordered(message.order);
    else if (message.kind === "certificate") this.#answered(message);
    else if (message.id === "") this.#noOrder = `the trust manager has no order for this cluster: ${message.reason}`;
    else this.#asking.refused(message);
    this.poke();
  }

  /** Of the last order that is carried out in whole; empty if none is. */
  get generation(): string {
    return this.#carriedOut;
  }
  get order(): Order | undefined {
    return this.#order;
  }
  get installed(): Installed {
    return this.#installed;
  }

  /** When the certificate that is installed will be replaced; undefined if that is not known. */
  get renewsAt(): EpochMs | undefined {
    const certificate = this.#certificate();
    return certificate && this.#renewal.dueAt(certificate, this.#order?.intermediate.graceRatio);
  }

  /** What is not done yet, and why. */
  get waits(): readonly string[] {
    const wait = this.#deed.kind === "none" ? this.#deed.wait : undefined;
    const asked = this.#deed.kind === "ask" ? `a certificate is asked for, as ${this.#deed.why}` : undefined;
    return [wait, asked, ...(this.#port.inUse()?.waits ?? [])].filter((text) => text !== undefined);
  }

  get problems(): readonly AuthorityFault[] {
    const error = (text: string | undefined) => (text ? [{ severity: "error", message: text } as const] : []);
    const { clock, at } = this.#managerClock ?? { clock: 0, at: 0 };
    return [
      ...error(this.#noOrder),
      ...error(this.#deed.kind === "refuse" ? this.#deed.why : ""),
      ...error(this.#unwritten),
      ...error(this.#asking.trouble),
      ...error(this.#governing.trouble),
      ...error(this.#lateness()),
      ...(this.#port.inUse()?.refusals ?? []).flatMap(error),
      ...error(skewProblem(clock, at)),
    ];
  }

  #ordered(order: Order): void {
    this.#noOrder = "";
    if (order.generation === this.#order?.generation) return;
    this.#log.info("the trust manager has an order for this cluster", {
      generation: order.generation,
      roots: order.roots.length,
      signingRoot: order.signingRoot,
    });
    this.#order = order;
    this.#asking.drop();
    this.#governing.want(order.bounds);
  }

  #answered(message: Extract<ManagerMessage, { kind: "certificate" }>): void {
    if (!this.#asking.answered(message)) this.#log.info("a certificate came that is not asked for any more");
  }

  #lookAgain(): void {
    this.poke();
    this.#look = this.#host.clock.after(LOOK_MS, () => this.#lookAgain());
  }

  async #rounds(): Promise<void> {
    // Whoever poked is done with what it does.
    await Promise.resolve();
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#carryOut();
      if (!this.#closed) this.#tell();
    }
  }

  async #carryOut(): Promise<void> {
    await this.#governing.carryOut();
    for (let done = 0; done < DEEDS_MAX && !this.#closed; done++) {
      this.#installed = await this.#port.look().catch(unread);
      const order = this.#order;
      if (order === undefined) return;
      this.#deed = deedFor(this.#facts(order));
      const update = this.#updateFor(this.#deed, order);
      if (update === undefined || !(await this.#install(update))) return;
    }
  }

  #facts(order: Order): Parameters<typeof deedFor>[0] {
    const now = this.#host.clock.now();
    const renewsAt = this.renewsAt;
    const renewalIsDue = renewsAt !== undefined && renewsAt <= now;
    const { trustDomain } = this.#options;
    const [installed, there, inUse] = [this.#installed, this.#there, this.#port.inUse()];
    return { trustDomain, order, installed, there, inUse, renewalIsDue, now };
  }

  /** What is to be written now; asks for what is not there to be written. */
  #updateFor(deed: Deed, order: Order): AuthorityUpdate | undefined {
    if (deed.kind === "write") return deed.update;
    if (deed.kind !== "ask") {
      this.#asking.drop();
      return undefined;
    }
    this.#asking.want(order);
    const { answer } = this.#asking;
    if (answer === undefined) return undefined;
    const replaces = this.#installed.kind === "own" ? this.#installed.files : undefined;
    try {
      return filesOf({ ...answer, replaces, now: this.#host.clock.now() });
    } catch (thrown) {
      this.#asking.reject(messageOf(thrown));
      return undefined;
    }
  }

  async #install(update: AuthorityUpdate): Promise<boolean> {
    try {
      await this.#port.install(update);
      this.#unwritten = "";
      this.#log.info("the authority of this cluster is written", { generation: this.#order?.generation });
      return true;
    } catch (thrown) {
      // Somebody else was faster: what that wrote is looked at anew.
      const { code, message } = MeshError.from(thrown);
      this.#unwritten = code === "conflict" ? "" : message;
      return false;
    }
  }

  /** Reports what changed. */
  #tell(): void {
    this.#noteCarriedOut();
    this.#port.changed();
    const { clock: _, roots, chain, ...texts } = this.#reported();
    const said = JSON.stringify([texts, roots.map(fingerprintOf), chain.map(fingerprintOf)]);
    if (said === this.#said || !this.#known) return;
    this.#said = said;
    this.#reportIn(GATHER_MS);
  }

  #noteCarriedOut(): void {
    const order = this.#order;
    const inUse = this.#port.inUse();
    if (order === undefined || inUse === undefined || this.#governing.pending) return;
    const done = this.#deed.kind === "none" ? this.#deed.wait === undefined : isRenewal(this.#deed);
    const there = this.#there;
    if (!done || typeof there !== "object" || !isInUse(order, there, inUse)) return;
    if (order.generation !== this.#carriedOut)
      this.#log.info("the order of the trust manager is carried out", { generation: order.generation });
    this.#carriedOut = order.generation;
  }

  #reportIn(delayMs: number): void {
    this.#nextReport?.[Symbol.dispose]();
    this.#nextReport = this.#host.clock.after(delayMs, () => this.#report());
  }

  #report(): void {
    this.#port.send({ kind: "report", report: this.#reported() });
    this.#reportIn(REPORT_MS);
  }

  /** That nothing is here is a word that much depends on: it is not said before it has been looked. */
  get #known(): boolean {
    if (this.#port.inUse() !== undefined || this.#installed.kind === "absent") return true;
    return typeof this.#there === "string";
  }

  #reported(): ClusterReport {
    const { version, rootWaitMs } = this.#options;
    return {
      ...this.#authority.of(this.#port.inUse()?.authority, this.#order?.signingRoot),
      generation: this.#carriedOut,
      rootWaitMs,
      waits: this.waits,
      problems: this.problems.map(({ message }) => message),
      restarts: this.#port.restarts(),
      clock: this.#host.clock.now(),
      version,
    };
  }

  /** What is installed, or why it cannot be used; undefined unless it is ours. */
  get #there(): Authority | string | undefined {
    if (this.#installed.kind !== "own") return undefined;
    const { digest } = this.#installed.files;
    const now = this.#host.clock.now();
    const known =
      this.#read.digest === digest && typeof this.#read.found === "object" && now < this.#read.found.notAfter;
    if (!known) this.#read = { digest, found: readable(this.#installed, this.#options.trustDomain, now) };
    return this.#read.found;
  }

  /** The one that is installed and signs, in DER. */
  #certificate(): Uint8Array | undefined {
    const there = this.#there;
    return typeof there === "object" ? there.chain[0] : undefined;
  }

  #lateness(): string | undefined {
    const certificate = this.#certificate();
    const ratio = this.#order?.intermediate.graceRatio;
    if (certificate === undefined || !isLate(certificate, this.#host.clock.now(), ratio)) return undefined;
    const end = new Date(readCertificate(certificate).notAfter).toISOString();
    return (
      `the certificate that signs here ends at ${end}, and no other came: nothing that it signs outlives it. Look why the ` +
      "trust manager is away, or does not sign (causeway trust status)"
    );
  }
}

const unread = (thrown: unknown): Installed => ({ kind: "unknown", why: messageOf(thrown) });
const isRenewal = (deed: Deed): boolean => deed.kind === "ask" && deed.renewal;
