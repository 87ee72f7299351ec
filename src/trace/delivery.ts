import type { ClientBehind } from "../change-watch.ts";
import type { EpochMs } from "../host.ts";
import type { OpenSpan, Spans } from "./spans.ts";

/** Clients with a span of their own; the rest are counted. */
const CLIENTS_SHOWN_MAX = 32;

interface Waiting extends ClientBehind {
  sentMs: EpochMs | undefined;
}

/** A change in one trace: all of it, and its way to the clients. */
export interface TracedChange {
  readonly change: OpenSpan;
  readonly deliver: OpenSpan;
}

/** One settled change on its way to the clients that were behind, in each trace that it is part of. */
export class Delivery {
  readonly #spans: Spans;
  readonly #traces: readonly TracedChange[];
  readonly #waiting = new Map<string, Waiting>();
  readonly #reached = new Set<string>();
  #shown = 0;
  #refused = 0;
  #gone = 0;
  #last: { readonly atMs: EpochMs; readonly name: string } | undefined;

  constructor(spans: Spans, traces: readonly TracedChange[], behind: readonly ClientBehind[]) {
    this.#spans = spans;
    this.#traces = traces;
    for (const each of behind) this.#waiting.set(keyOf(each.client, each.typeUrl), { ...each, sentMs: undefined });
  }

  get over(): boolean {
    return this.#waiting.size === 0;
  }
  get traceparents(): readonly string[] {
    return this.#traces.map(({ deliver }) => deliver.traceparent);
  }

  /** @returns whether the response is about this change. */
  sent(client: string, typeUrl: string, position: number, atMs: EpochMs): boolean {
    const waiting = this.#waiting.get(keyOf(client, typeUrl));
    if (waiting === undefined || position < waiting.target) return false;
    waiting.sentMs = atMs;
    return true;
  }

  served(client: string, typeUrl: string, position: number, atMs: EpochMs): void {
    const waiting = this.#waiting.get(keyOf(client, typeUrl));
    if (waiting === undefined || position < waiting.target) return;
    this.#waiting.delete(keyOf(client, typeUrl));
    // Who was sent nothing has no part in this change.
    if (waiting.sentMs === undefined) return;
    this.#reached.add(client);
    this.#last = { atMs, name: waiting.name };
    if (this.#shown++ < CLIENTS_SHOWN_MAX) this.#show(waiting, waiting.sentMs, atMs);
  }

  refused(client: string): void {
    for (const waiting of this.#waiting.values())
      if (waiting.client === client && waiting.sentMs !== undefined) this.#refused += 1;
  }

  left(client: string): void {
    const before = this.#waiting.size;
    for (const [key, waiting] of this.#waiting) if (waiting.client === client) this.#waiting.delete(key);
    if (this.#waiting.size < before) this.#gone += 1;
  }

  end(nowMs: EpochMs): void {
    const silent = new Set(Array.from(this.#waiting.values(), ({ client }) => client)).size;
    const facts = {
      "causeway.clients": this.#reached.size,
      "causeway.clients.gone": this.#gone,
      "causeway.clients.silent": silent,
      "causeway.clients.last": this.#last?.name ?? "",
      "causeway.responses.refused": this.#refused,
    };
    const endMs = silent > 0 ? nowMs : (this.#last?.atMs ?? nowMs);
    for (const { change, deliver } of this.#traces) {
      deliver.end(endMs, facts);
      change.end(endMs);
    }
  }

  #show({ name, typeUrl }: Waiting, sentMs: EpochMs, atMs: EpochMs): void {
    const facts = { "causeway.client": name, "causeway.type_url": typeUrl };
    for (const { deliver } of this.#traces) this.#spans.begin("client", sentMs, facts, deliver.traceparent)?.end(atMs);
  }
}

const keyOf = (client: string, typeUrl: string): string => `${client} ${typeUrl}`;
