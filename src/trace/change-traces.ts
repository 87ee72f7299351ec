import type { ArrivedObject, ChangeWatch, ClientBehind } from "../change-watch.ts";
import type { Counter, EpochMs, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { Delivery } from "./delivery.ts";
import type { OpenSpan, Spans } from "./spans.ts";

/** Objects that are named of those that settle together; the rest are counted. */
const OBJECTS_NAMED_MAX = 16;
/** Traces of peers that one settled state goes on with, and that one response tells of. */
const TRACES_MAX = 4;
/** Changes that are followed at once; what comes beyond them is not. */
const OPEN_MAX = 64;
/** A client that is silent for longer holds up no trace. */
const PATIENCE_MS = 60_000;

interface Arrived {
  readonly atMs: EpochMs;
  readonly object: ArrivedObject;
}

interface Heard {
  readonly atMs: EpochMs;
  readonly peer: ClusterId;
}

/**
 * Follows what settles together from the first object that arrived until the last client that was told has answered, as
 * one trace; and what a peer told of as a part of the peer's trace. Nothing is kept of a change that no client is told of.
 */
export class ChangeTraces implements ChangeWatch {
  readonly #host: Host;
  readonly #spans: Spans;
  readonly #facts: { readonly "causeway.control_plane": string };
  readonly #dropped: Counter;
  readonly #open = new Map<Delivery, Disposable>();
  #arrived: Arrived[] = [];
  #unnamed = 0;
  /** By traceparent. */
  #heard = new Map<string, Heard>();
  #settlingMs = 0;
  #settledMs = 0;

  /** @param cluster our own. */
  constructor(host: Host, spans: Spans, cluster: ClusterId) {
    this.#host = host;
    this.#spans = spans;
    this.#facts = { "causeway.control_plane": cluster };
    this.#dropped = host.metrics.counter(
      "change_traces_dropped_total",
      "Changes that were not followed, as too many were at once.",
    );
  }

  arrived(object: ArrivedObject): void {
    if (this.#arrived.length < OBJECTS_NAMED_MAX) this.#arrived.push({ atMs: this.#host.clock.now(), object });
    else this.#unnamed += 1;
  }

  heard(peer: ClusterId, traceparents: readonly string[]): void {
    const atMs = this.#host.clock.now();
    for (const traceparent of traceparents)
      if (this.#heard.size < TRACES_MAX) this.#heard.set(traceparent, { peer, atMs });
  }

  settling(): void {
    this.#settlingMs = this.#settledMs = this.#host.clock.now();
  }
  settled(): void {
    this.#settledMs = this.#host.clock.now();
  }

  flushed(behind: Iterable<ClientBehind>): void {
    const [arrived, unnamed, heard] = [this.#arrived, this.#unnamed, this.#heard];
    if (arrived.length === 0 && heard.size === 0) return;
    this.#arrived = [];
    this.#unnamed = 0;
    this.#heard = new Map();
    const clients = [...behind];
    if (clients.length === 0) return;
    if (this.#open.size >= OPEN_MAX) return this.#dropped.add();
    const begun = [...this.#beginHere(arrived, unnamed), ...this.#goOn(heard)];
    if (begun.length > 0) this.#follow(begun, clients);
  }

  sent(client: string, typeUrl: string, position: number): readonly string[] {
    const told: string[] = [];
    for (const delivery of this.#open.keys())
      if (delivery.sent(client, typeUrl, position, this.#host.clock.now())) told.push(...delivery.traceparents);
    return told.slice(-TRACES_MAX);
  }

  served(client: string, typeUrl: string, position: number): void {
    this.#tell((delivery) => delivery.served(client, typeUrl, position, this.#host.clock.now()));
  }
  refused(client: string): void {
    this.#tell((delivery) => delivery.refused(client));
  }
  left(client: string): void {
    this.#tell((delivery) => delivery.left(client));
  }

  /** Ends what is still open. */
  close(): void {
    for (const delivery of [...this.#open.keys()]) this.#end(delivery);
  }

  #tell(say: (delivery: Delivery) => void): void {
    for (const delivery of [...this.#open.keys()]) {
      say(delivery);
      if (delivery.over) this.#end(delivery);
    }
  }

  #beginHere(arrived: readonly Arrived[], unnamed: number): readonly OpenSpan[] {
    const [first] = arrived;
    if (first === undefined) return [];
    const facts = { ...this.#facts, "causeway.objects": arrived.length + unnamed };
    const change = this.#spans.begin(`change of ${first.object.kind}`, first.atMs, facts);
    for (const { atMs, object } of arrived)
      change?.note(object.deleted ? "deleted" : "written", atMs, {
        "causeway.cluster": object.cluster,
        "causeway.kind": object.kind,
        "causeway.object": object.name,
      });
    return change === undefined ? [] : [change];
  }

  #goOn(heard: ReadonlyMap<string, Heard>): readonly OpenSpan[] {
    return Array.from(heard).flatMap(([traceparent, { peer, atMs }]) => {
      const facts = { ...this.#facts, "causeway.peer": peer };
      return this.#spans.begin("change of a peer", atMs, facts, traceparent) ?? [];
    });
  }

  #follow(begun: readonly OpenSpan[], clients: readonly ClientBehind[]): void {
    const nowMs = this.#host.clock.now();
    const traces = begun.flatMap((change) => {
      this.#spans.begin("settle", this.#settlingMs, this.#facts, change.traceparent)?.end(this.#settledMs);
      this.#spans.begin("encode", this.#settledMs, this.#facts, change.traceparent)?.end(nowMs);
      const deliver = this.#spans.begin("deliver", nowMs, this.#facts, change.traceparent);
      return deliver === undefined ? [] : [{ change, deliver }];
    });
    const delivery = new Delivery(this.#spans, traces, clients);
    this.#open.set(
      delivery,
      this.#host.clock.after(PATIENCE_MS, () => this.#end(delivery)),
    );
  }

  #end(delivery: Delivery): void {
    this.#open.get(delivery)?.[Symbol.dispose]();
    if (this.#open.delete(delivery)) delivery.end(this.#host.clock.now());
  }
}
