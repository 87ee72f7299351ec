import type { ClientNode, DeltaRequest, TypeUrl } from "./resource.ts";

/** One resource as a client receives it. */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  /** The encoded message. */
  readonly body: Uint8Array;
}

export interface DeltaUpdate {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  /** Traces that it goes on with; absent if it says none. */
  readonly traceparents?: readonly string[];
}

/**
 * The asking half of delta xDS, as a state machine without I/O: wildcard subscriptions, and the name and version of
 * all it holds, with which it resumes on the next stream (contract ztunnel.md 2.3).
 */
export class DeltaClient {
  readonly #node: ClientNode;
  readonly #held: ReadonlyMap<TypeUrl, Map<string, string>>;

  constructor(node: ClientNode, typeUrls: readonly TypeUrl[]) {
    this.#node = node;
    this.#held = new Map(typeUrls.map((typeUrl) => [typeUrl, new Map()]));
  }

  /** Name to version; empty for a type that was not asked for. */
  held(typeUrl: TypeUrl): ReadonlyMap<string, string> {
    return this.#held.get(typeUrl) ?? new Map();
  }

  /** The first requests of a stream, in the order in which the types were given. */
  start(): readonly DeltaRequest[] {
    return [...this.#held].map(([typeUrl, held]) => ({
      ...blank(typeUrl),
      node: this.#node,
      initialVersions: new Map(held),
    }));
  }

  /** Takes a response. @returns the ACK, or with a `rejection` the NACK, which takes nothing. */
  receive(update: DeltaUpdate, rejection?: string): DeltaRequest {
    const held = this.#held.get(update.typeUrl);
    if (rejection === undefined && held !== undefined) {
      for (const { name, version } of update.resources) held.set(name, version);
      for (const name of update.removed) held.delete(name);
    }
    return { ...blank(update.typeUrl), nonce: update.nonce, rejection };
  }
}

function blank(typeUrl: TypeUrl): DeltaRequest {
  return {
    typeUrl,
    node: undefined,
    subscribe: [],
    unsubscribe: [],
    initialVersions: new Map(),
    nonce: "",
    rejection: undefined,
  };
}
