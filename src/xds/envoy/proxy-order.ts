import type { Clock } from "../../host.ts";
import type { DeltaSession } from "../delta-session.ts";
import {
  CLUSTER_TYPE,
  type DeltaRequest,
  type DeltaResponse,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ONLY_BY_NAME,
  ROUTE_TYPE,
  SECRET_TYPE,
  type TypeUrl,
} from "../resource.ts";
import { Awaited } from "./awaited.ts";
import { Patience } from "./patience.ts";
import type { GatewayLogs } from "./proxy-logs.ts";
import { routesOf } from "./resource-names.ts";
import { Suspects } from "./suspects.ts";

/**
 * The order in which one Envoy gets its types, so that nothing it does leads to a cluster that is not there or not
 * ready: listeners, and after them routes, wait until all clusters were sent and answered, with their endpoints; listeners
 * and then clusters that are gone go last. An Envoy that rejects has answered, and keeps what it had.
 *
 * Envoy answers clusters only once they have their endpoints and secrets (but for the first ones of its life), so those
 * never wait for the answer. What it asked for by name it never gives up because we say that it is gone, but goes on
 * without it if it waits for it: that is said at once.
 */
export class ProxyOrder {
  readonly #logs: GatewayLogs;
  readonly #sessions: ReadonlyMap<TypeUrl, DeltaSession>;
  readonly #suspects: ReadonlyMap<TypeUrl, Suspects>;
  /** Types of which a response was made and not answered yet. */
  readonly #unanswered = new Set<TypeUrl>();
  readonly #awaited: Awaited;
  readonly #patience: Patience;
  readonly #startedMs: number;

  /** @param onWake called when `next` may give something although nothing was received and nothing changed. */
  constructor(logs: GatewayLogs, sessions: ReadonlyMap<TypeUrl, DeltaSession>, clock: Clock, onWake: () => void) {
    this.#logs = logs;
    this.#sessions = sessions;
    this.#suspects = new Map(Array.from(logs.keys(), (typeUrl) => [typeUrl, new Suspects()]));
    this.#awaited = new Awaited(clock);
    this.#patience = new Patience(clock, onWake);
    this.#startedMs = clock.elapsedMs();
  }

  /** Says that a session of `typeUrl` is about to send `name`. */
  sending(typeUrl: TypeUrl, name: string): void {
    this.#suspects.get(typeUrl)!.sending(name);
    this.#awaited.sending(typeUrl, name);
    const need = needOf(typeUrl, name);
    if (need !== undefined && this.#exists(need.typeUrl, need.name))
      this.#awaited.add(typeUrl, need.typeUrl, need.name);
  }

  /** Call it after the session has received. */
  received({ typeUrl, rejection }: DeltaRequest): void {
    if (this.#unansweredMs(typeUrl) !== undefined || !this.#unanswered.delete(typeUrl)) return;
    if (rejection !== undefined) this.#awaited.rejected(typeUrl);
    this.#awaited.answered(typeUrl);
    this.#suspects.get(typeUrl)?.answered(rejection);
  }

  /** What Envoy does not take, by name, and why. */
  rejected(typeUrl: TypeUrl): ReadonlyMap<string, string> {
    const suspects = this.#suspects.get(typeUrl);
    suspects?.keep((name) => this.#exists(typeUrl, name) && this.#sessions.get(typeUrl)?.has(name) === true);
    return suspects?.bad ?? new Map<string, string>();
  }

  /** The next response to send, or undefined if there is nothing now. */
  next(): DeltaResponse | undefined {
    return this.#nextClusters() ?? this.#nextLeading();
  }

  close(): void {
    this.#patience.close();
  }

  #nextClusters(): DeltaResponse | undefined {
    const clusters = this.#poll(CLUSTER_TYPE);
    if (clusters !== undefined) return clusters;
    const endpoints = this.#sessions.get(ENDPOINT_TYPE);
    // Envoy needs the endpoints of a cluster that has changed once more, and does not ask for what it follows already.
    for (const name of this.#awaited.unsent(ENDPOINT_TYPE)) endpoints?.repeat(name);
    return this.#poll(ENDPOINT_TYPE) ?? this.#poll(SECRET_TYPE);
  }

  /** Of what leads to clusters, and what is gone. */
  #nextLeading(): DeltaResponse | undefined {
    if (this.#awaitsClusters()) return undefined;
    const listeners = this.#poll(LISTENER_TYPE);
    if (listeners !== undefined) return listeners;
    if (this.#unansweredMs(LISTENER_TYPE) !== undefined || !this.#asked(LISTENER_TYPE)) return undefined;
    const routes = this.#poll(ROUTE_TYPE);
    if (routes !== undefined) return routes;
    if (this.#unansweredMs(ROUTE_TYPE) !== undefined || this.#awaitsRoutes()) return undefined;
    return this.#poll(LISTENER_TYPE, true) ?? this.#poll(CLUSTER_TYPE, true);
  }

  #poll(typeUrl: TypeUrl, removals = ONLY_BY_NAME.has(typeUrl)): DeltaResponse | undefined {
    const session = this.#sessions.get(typeUrl);
    const response = session && (this.#nextSuspects(typeUrl, session) ?? session.poll(removals));
    if (response !== undefined) this.#unanswered.add(typeUrl);
    return response;
  }

  #nextSuspects(typeUrl: TypeUrl, session: DeltaSession): DeltaResponse | undefined {
    if (session.unansweredSinceMs !== undefined) return undefined;
    const suspects = this.#suspects.get(typeUrl);
    for (let names = suspects?.next(); names !== undefined; names = suspects?.next()) {
      const response = session.pollOnly(names);
      if (response !== undefined) return response;
    }
    return undefined;
  }

  #awaitsClusters(): boolean {
    const clusters = this.#sessions.get(CLUSTER_TYPE);
    if (clusters?.hasUpserts === true || !this.#asked(CLUSTER_TYPE)) return true;
    if (this.#patience.waits(clusters?.unansweredSinceMs)) return true;
    const isThere = (name: string): boolean => this.#exists(ENDPOINT_TYPE, name);
    return this.#patience.waits(this.#awaited.since(ENDPOINT_TYPE, isThere));
  }

  /** A listener that has changed goes on with the routes that it follows already. */
  #awaitsRoutes(): boolean {
    const routes = this.#sessions.get(ROUTE_TYPE);
    const isThere = (name: string): boolean => this.#exists(ROUTE_TYPE, name) && routes?.has(name) !== true;
    return this.#patience.waits(this.#awaited.since(ROUTE_TYPE, isThere));
  }

  /** An Envoy that returns asks for its types in any order. */
  #asked(typeUrl: TypeUrl): boolean {
    return this.#sessions.has(typeUrl) || !this.#patience.waits(this.#startedMs);
  }

  #unansweredMs(typeUrl: TypeUrl): number | undefined {
    return this.#sessions.get(typeUrl)?.unansweredSinceMs;
  }

  #exists(typeUrl: TypeUrl, name: string): boolean {
    return this.#logs.get(typeUrl)?.versionOf(name) !== undefined;
  }
}

/** What Envoy asks for once it has got a resource, and uses that no earlier. */
function needOf(typeUrl: TypeUrl, name: string): { readonly typeUrl: TypeUrl; readonly name: string } | undefined {
  if (typeUrl === CLUSTER_TYPE) return { typeUrl: ENDPOINT_TYPE, name };
  const routes = typeUrl === LISTENER_TYPE ? routesOf(name) : undefined;
  return routes === undefined ? undefined : { typeUrl: ROUTE_TYPE, name: routes };
}
