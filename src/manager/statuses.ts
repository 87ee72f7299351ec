import { isDeepStrictEqual } from "node:util";
import { type Fields, isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import type { WantedObject, WantedObjects } from "../kube/wanted-object.ts";
import { type Metadata, metadataOf } from "../registry/kube/metadata.ts";
import { readStatus } from "../registry/kube/object-status.ts";
import { storable, wantedStatus } from "../registry/wanted/wanted-status.ts";
import type { ClusterId } from "../names.ts";
import { trustTypeOf } from "./feeds/trust-types.ts";
import type { Judgement, TrustKind, TrustState } from "./policy.ts";

/** The condition that every object of a trust manager has. */
const ACCEPTED = "Accepted";

/** Clusters report much in bad times; schemas take four times as much. */
const MESSAGE_MAX = 8_000;

export interface JudgedObject {
  readonly judgement: Judgement;
  /** What its status says besides. */
  readonly extras: Fields;
}

type Batch = readonly { readonly key: string; readonly after: WantedObject | undefined }[];

/** The statuses that objects are to have, by what they have now. */
export class TrustStatuses implements WantedObjects {
  readonly #observers = new Set<(batch: Batch) => void>();
  readonly #objects = new Map<string, KubeObject>();
  #judged: readonly JudgedObject[] = [];
  #wanted = new Map<string, WantedObject>();

  get(key: string): WantedObject | undefined {
    return this.#wanted.get(key);
  }

  entries(): Iterable<readonly [string, WantedObject]> {
    return this.#wanted.entries();
  }

  observe(observer: (batch: Batch) => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  /** An object as its API server has it now. */
  found(object: KubeObject): void {
    this.#objects.set(keyOf(object.kind, object.metadata.namespace ?? "", object.metadata.name), object);
  }

  gone({ kind, metadata }: Pick<KubeObject, "kind" | "metadata">): void {
    this.#objects.delete(keyOf(kind, metadata.namespace ?? "", metadata.name));
  }

  judge(judged: readonly JudgedObject[]): void {
    this.#judged = judged;
    this.settle();
  }

  /** Makes what is wanted follow from what was found and judged. */
  settle(): void {
    const wanted = new Map<string, WantedObject>();
    for (const { judgement, extras } of this.#judged) {
      const { kind, namespace, name } = judgement.id;
      const key = keyOf(kind, namespace, name);
      const object = this.#objects.get(key);
      const status = object && this.#statusOf(kind, object, judgement, extras);
      if (status !== undefined) wanted.set(key, status);
    }
    const before = this.#wanted;
    this.#wanted = wanted;
    const changed = [...new Set([...before.keys(), ...wanted.keys()])]
      .map((key) => ({ key, after: wanted.get(key) }))
      .filter(({ key, after }) => !isDeepStrictEqual(before.get(key), after));
    if (changed.length > 0) for (const observer of this.#observers) observer(changed);
  }

  #statusOf(kind: TrustKind, object: KubeObject, judgement: Judgement, extras: Fields): WantedObject | undefined {
    const metadata = readable(object);
    const status = metadata && readStatus(metadata, object, true, (type) => type === ACCEPTED);
    if (metadata === undefined || status === undefined) return undefined;
    const { state, messages } = judgement;
    const message = storable(messages.join(" "), MESSAGE_MAX);
    const observed = status.generation === undefined ? {} : { observedGeneration: status.generation };
    const fields = { state, message, ...observed, ...extras };
    const there: Fields = isFields(object["status"]) ? object["status"] : {};
    const found = Object.entries(fields).every(([field, value]) => isDeepStrictEqual(there[field], value));
    const verdict = { type: ACCEPTED, holds: HOLDS[state], reason: REASONS[state], message };
    return wantedStatus({ type: trustTypeOf(kind), id: metadata, status }, [verdict], { fields, found });
  }
}

const HOLDS: Readonly<Record<TrustState, boolean | undefined>> = {
  PENDING: undefined,
  ACCEPTED: true,
  WARNING: true,
  INVALID: false,
  FAILED: false,
};
const REASONS: Readonly<Record<TrustState, string>> = {
  PENDING: "Pending",
  ACCEPTED: "Accepted",
  WARNING: "Warning",
  INVALID: "Invalid",
  FAILED: "Failed",
};

const keyOf = (kind: string, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;

function readable(object: KubeObject): Metadata | undefined {
  try {
    return metadataOf(object.metadata, "" as ClusterId, "", false);
  } catch {
    return undefined;
  }
}
