import type { KeyObject } from "node:crypto";
import { Backoff } from "../backoff.ts";
import { type NewCsr, newCsr } from "../ca/client.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Gauge, Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { type ClientIdentity, type IdentityStore, identityOf, lifeOf, whyUnfit } from "./client-identity.ts";
import type { ClusterMessage, ManagerMessage } from "./messages.ts";
import { RELAY_PING_MS, RELAY_SILENCE_MS } from "./methods.ts";
import { parseToken } from "./token.ts";
import type { RelayStream, RelayTransport } from "./transport.ts";

const RETRY = { firstMs: 1_000, longestMs: 30_000 };
/** How often it is looked whether the client certificate is half through. */
const RENEWAL_LOOK_MS = 60_000;

export interface LinkEvents {
  connected(): void;
  received(message: ManagerMessage): void;
  /** After `state` or `reason` may have changed. */
  changed(): void;
}

/**
 * A cluster's connection to the trust manager: a bootstrap token once, then a client certificate that is renewed at half of
 * its life, and a stream that is dialled again for as long as we run.
 */
export class RelayLink {
  readonly #host: Host;
  readonly #transport: RelayTransport;
  readonly #store: IdentityStore;
  readonly #cluster: ClusterId;
  readonly #events: LinkEvents;
  readonly #log: Logger;
  readonly #backoff: Backoff;
  readonly #gauges: Readonly<Record<"connected" | "heard" | "ends", Gauge>>;
  readonly #closing = new AbortController();
  #identity: ClientIdentity | undefined;
  #stream: RelayStream | undefined;
  #connected = false;
  #since: EpochMs;
  #lastHeard: EpochMs | undefined;
  #reason = "it was not dialled yet";
  #next: Disposable | undefined;
  #silence: Disposable | undefined;
  #ping: Disposable | undefined;
  #renewal: Disposable | undefined;
  #busy: Promise<void> | undefined;
  /** What a token is being spent for. */
  #enrolling: (NewCsr & { readonly tokenId: string }) | undefined;
  #renewing = false;
  #unkept = "";
  #unrenewed = "";

  constructor(
    host: Host,
    { transport, store, cluster }: { transport: RelayTransport; store: IdentityStore; cluster: ClusterId },
    events: LinkEvents,
  ) {
    this.#host = host;
    this.#transport = transport;
    this.#store = store;
    this.#cluster = cluster;
    this.#events = events;
    this.#since = host.clock.now();
    this.#log = host.log.scope("trust");
    this.#backoff = new Backoff(host.random, RETRY.longestMs, RETRY.firstMs);
    const { metrics } = host;
    this.#gauges = {
      connected: metrics.gauge("relay_connected", "1 while the stream to the trust manager is open."),
      heard: metrics.gauge("relay_last_heard_timestamp_seconds", "When the trust manager last said anything."),
      ends: metrics.gauge(
        "relay_client_certificate_expiry_timestamp_seconds",
        "When the client certificate for the trust manager ends, in Unix seconds.",
      ),
    };
    this.#gauges.connected.set(0);
  }

  get state(): "connected" | "away" | "never" {
    return this.#connected ? "connected" : this.#lastHeard === undefined ? "never" : "away";
  }
  /** When the state began. */
  get since(): EpochMs {
    return this.#since;
  }
  get lastHeard(): EpochMs | undefined {
    return this.#lastHeard;
  }
  /** Why there is no link; empty while connected. */
  get reason(): string {
    return this.#connected ? "" : this.#reason;
  }
  /** When our client certificate ends. */
  get clientNotAfter(): EpochMs | undefined {
    return this.#identity && lifeOf(this.#identity).notAfter;
  }

  /** What is wrong though there may be a link. */
  get troubles(): readonly string[] {
    return [this.#unkept, this.#unrenewed].filter((text) => text !== "");
  }

  start(): void {
    this.#dialIn(0);
    this.#renewAgain();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const timer of [this.#next, this.#renewal]) timer?.[Symbol.dispose]();
    this.#hangUp();
    await this.#busy;
    // Another replica has the stream now, and renews the certificate: what was known here grows old.
    this.#gauges.connected.set(0);
    for (const gauge of [this.#gauges.heard, this.#gauges.ends]) gauge.remove({});
  }

  /** @returns false if no stream is open. */
  send(message: ClusterMessage): boolean {
    if (!this.#connected || this.#stream === undefined) return false;
    this.#stream.send(message);
    return true;
  }

  #dialIn(delayMs: number): void {
    this.#next?.[Symbol.dispose]();
    this.#next = this.#host.clock.after(delayMs, () => this.#do(() => this.#dial()));
  }

  /** One thing at a time: what fails is why there is no link. */
  #do(deed: () => Promise<void>): void {
    this.#busy = (this.#busy ?? Promise.resolve()).then(deed).catch((thrown: unknown) => {
      if (!this.#closing.signal.aborted) this.#failed(MeshError.from(thrown));
    });
  }

  async #dial(): Promise<void> {
    const identity = await this.#ownIdentity();
    if (this.#closing.signal.aborted) return;
    const stream: RelayStream = (this.#stream = this.#transport.follow(identity, {
      connected: () => this.#stream === stream && this.#opened(),
      received: (message) => this.#stream === stream && this.#heard(message),
      ended: (why) => this.#stream === stream && this.#failed(why),
    }));
    this.#expect();
  }

  /** What we have, or what a token gets us: one that is new is an operator's wish to begin anew. */
  async #ownIdentity(): Promise<ClientIdentity> {
    this.#identity ??= await this.#store.read();
    const now = this.#host.clock.now();
    const why = this.#identity === undefined ? "there is none" : whyUnfit(this.#identity, this.#cluster, now);
    const usable = this.#identity !== undefined && why === undefined;
    if (usable && !(this.#backoff.failing && (await this.#hasNewToken()))) return this.#identity!;
    return this.#enroll(why ?? this.#reason);
  }

  async #hasNewToken(): Promise<boolean> {
    try {
      const { id, expiresAt } = parseToken((await this.#store.token()) ?? "");
      return id !== this.#identity?.tokenId && expiresAt > this.#host.clock.now();
    } catch {
      return false;
    }
  }

  /** @param why what we have does not do. */
  async #enroll(why: string): Promise<ClientIdentity> {
    const { title, tokenTitle } = this.#store;
    const mend = `have one made with causeway trust token --cluster ${this.#cluster}, and put it there`;
    const text = (await this.#store.token())?.trim() ?? "";
    if (text === "")
      throw new MeshError(
        "absent",
        `the client certificate in ${title} cannot be used: ${why}; and ${tokenTitle} holds no bootstrap token: ${mend}`,
      );
    const token = parseToken(text);
    if (token.cluster !== this.#cluster)
      throw new MeshError(
        "denied",
        `the bootstrap token in ${tokenTitle} is for cluster ${token.cluster}, and this is ${this.#cluster}: ${mend}`,
      );
    const { rootSha256, id: tokenId } = token;
    const [clock, cluster] = [this.#host.clock.now(), this.#cluster];
    // Whoever lost the answer to a token may ask again for the same key.
    if (this.#enrolling?.tokenId !== tokenId) this.#enrolling = { ...newCsr(), tokenId };
    const { csr, privateKey } = this.#enrolling;
    const request = { token: { text, rootSha256 }, cluster, csr, clock };
    const credentials = await this.#transport.enroll(request, this.#closing.signal);
    await this.#keep(identityOf(credentials, { ...this.#keyOf(privateKey), tokenId }));
    this.#enrolling = undefined;
    this.#log.info("this cluster is enrolled with the trust manager", { manager: this.#transport.address });
    return this.#identity!;
  }

  #keyOf(privateKey: KeyObject): { key: string; cluster: ClusterId; now: EpochMs } {
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { key, cluster: this.#cluster, now: this.#host.clock.now() };
  }

  /** It is used even if it cannot be kept: the token is spent. */
  async #keep(identity: ClientIdentity): Promise<void> {
    this.#identity = identity;
    this.#unkept = await this.#store.write(identity).then(
      () => "",
      (thrown: unknown) => `a restart needs another bootstrap token, as ${messageOf(thrown)}`,
    );
    this.#events.changed();
  }

  #opened(): void {
    this.#log.info("connected to the trust manager", { manager: this.#transport.address });
    this.#turn(true);
    this.#sayPing();
    this.#events.connected();
  }

  #heard(message: ManagerMessage): void {
    this.#lastHeard = this.#host.clock.now();
    this.#gauges.heard.set(Math.floor(this.#lastHeard / 1000));
    this.#backoff.reset();
    this.#expect();
    this.#events.received(message);
  }

  /** A stream that is silent for too long is dead, whatever its socket says. */
  #expect(): void {
    this.#silence?.[Symbol.dispose]();
    this.#silence = this.#host.clock.after(RELAY_SILENCE_MS, () =>
      this.#failed(
        new MeshError("timeout", `${this.#transport.address} says nothing for ${RELAY_SILENCE_MS / 1000} s`),
      ),
    );
  }

  #sayPing(): void {
    this.#ping = this.#host.clock.after(RELAY_PING_MS, () => {
      this.send({ kind: "ping", clock: this.#host.clock.now() });
      this.#sayPing();
    });
  }

  #failed({ message }: MeshError): void {
    this.#hangUp();
    if (message !== this.#reason)
      this.#log.warn("the trust manager is away; what it ordered before goes on", { why: message });
    this.#reason = message;
    this.#turn(false);
    this.#dialIn(this.#backoff.next());
  }

  #turn(connected: boolean): void {
    if (connected !== this.#connected) this.#since = this.#host.clock.now();
    this.#connected = connected;
    this.#gauges.connected.set(connected ? 1 : 0);
    if (connected) this.#reason = "";
    this.#events.changed();
  }

  #hangUp(): void {
    for (const timer of [this.#silence, this.#ping]) timer?.[Symbol.dispose]();
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.close();
  }

  /** At half of its life: by then, there is as much time for the manager to come back. */
  #renewAgain(): void {
    this.#renewal = this.#host.clock.after(RENEWAL_LOOK_MS, () => {
      this.#renewAgain();
      const identity = this.#identity;
      if (identity === undefined || !this.#connected) return;
      const { notBefore, notAfter } = lifeOf(identity);
      this.#gauges.ends.set(Math.floor(notAfter / 1000));
      if (this.#host.clock.now() < (notBefore + notAfter) / 2 || this.#renewing) return;
      this.#renewing = true;
      void this.#renew(identity).finally(() => (this.#renewing = false));
    });
  }

  async #renew(identity: ClientIdentity): Promise<void> {
    const { signal } = this.#closing;
    try {
      const { csr, privateKey } = newCsr();
      const credentials = await this.#transport.renew(identity, csr, signal);
      await this.#keep(identityOf(credentials, { ...this.#keyOf(privateKey), tokenId: identity.tokenId }));
      this.#unrenewed = "";
    } catch (thrown) {
      this.#unrenewed = `the client certificate for the trust manager was not renewed: ${messageOf(thrown)}`;
      this.#events.changed();
    }
  }
}
