import type { DeltaUpdate, ReceivedResource } from "../xds/delta-client.ts";
import type { ClientNode, DeltaRequest, TypeUrl } from "../xds/resource.ts";
import { type DecodedSnapshotEnd, decodeSnapshotEnd, isSnapshotEnd } from "../xds/types/snapshot-end.ts";

/** What of a response counts now. */
export interface Taken {
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  /** Set if the peer's state is whole with this response, for the first time on this stream. */
  readonly end: DecodedSnapshotEnd | undefined;
}

/**
 * What we ask of one type on a link, as a machine without I/O. What a peer withdraws before it has said all of its state
 * is kept until it has: a control plane that has just started may not know yet what it still has (contract peering.md
 * 2.4; operations.md 3.4, fault 12).
 */
export class Subscription {
  readonly typeUrl: TypeUrl;
  readonly #vanished = new Set<string>();
  #whole = false;

  constructor(typeUrl: TypeUrl) {
    this.typeUrl = typeUrl;
  }

  /** True once the peer has said all of its state on the stream that is open. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Begins a stream. @param held versions by name, with which it is resumed. */
  start(node: ClientNode, held: ReadonlyMap<string, string>): DeltaRequest {
    this.#vanished.clear();
    this.#whole = false;
    return { ...this.#blank(), node, initialVersions: held };
  }

  /**
   * @param known whether we have heard of a name: nobody has us remember what others are gone.
   * @throws MeshError `invalid` for a marker that cannot be read; nothing has been taken then.
   */
  take({ resources, removed }: DeltaUpdate, known: (name: string) => boolean): Taken {
    const marker = resources.find(({ name }) => isSnapshotEnd(name));
    const end = marker === undefined ? undefined : decodeSnapshotEnd(marker.body);
    const records = resources.filter(({ name }) => !isSnapshotEnd(name));
    for (const { name } of records) this.#vanished.delete(name);
    for (const name of removed) if (known(name)) this.#vanished.add(name);
    const first = end !== undefined && !this.#whole;
    this.#whole ||= end !== undefined;
    const gone = this.#whole ? [...this.#vanished] : [];
    if (this.#whole) this.#vanished.clear();
    return { resources: records, removed: gone, end: first ? end : undefined };
  }

  /** @param rejection if nothing of the response could be taken. */
  answer({ nonce }: DeltaUpdate, rejection?: string): DeltaRequest {
    return { ...this.#blank(), nonce, rejection };
  }

  #blank(): DeltaRequest {
    const { typeUrl } = this;
    const none: readonly string[] = [];
    return {
      ...{ typeUrl, node: undefined, subscribe: none, unsubscribe: none },
      ...{ initialVersions: new Map<string, string>(), nonce: "", rejection: undefined },
    };
  }
}
