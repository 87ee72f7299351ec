import type { ResourceType } from "../../kube/api.ts";
import type { WantedCondition, WantedObject } from "../../kube/wanted-object.ts";
import type { FoundCondition, ObjectStatus } from "../kube/object-status.ts";
import type { ObjectId } from "../kube/metadata.ts";

/** What a condition is to say; `message` is one or more sentences for the person who wrote the object. */
export interface Verdict {
  readonly type: string;
  /** Undefined while nobody knows. */
  readonly holds: boolean | undefined;
  readonly reason: string;
  readonly message: string;
}

export interface StatusTarget {
  readonly type: ResourceType;
  readonly id: Pick<ObjectId, "namespace" | "name">;
  readonly status: ObjectStatus;
}

/** Status fields besides conditions, and whether they are there already. */
export interface StatusFields {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly found: boolean;
  readonly parts?: NonNullable<WantedObject["parts"]>;
}

const MESSAGE_MAX = 2_000;

/**
 * The status that an object shall have of us; undefined if there is nothing to say, and nothing that we said before.
 * What an object no longer deserves is withdrawn by a status that does not have it.
 */
export function wantedStatus(
  { type, id, status }: StatusTarget,
  verdicts: readonly Verdict[],
  { fields, found, parts }: StatusFields = { fields: {}, found: true },
): WantedObject | undefined {
  const conditions = verdicts.map((verdict) => conditionOf(verdict, status));
  if (conditions.length === 0 && status.conditions.length === 0 && Object.keys(fields).length === 0 && found)
    return undefined;
  const { others, resourceVersion } = status;
  return {
    type,
    namespace: id.namespace,
    name: id.name,
    subresource: "status",
    conditions,
    found: found && sameConditions(conditions, status.conditions) ? "same" : "different",
    ...(Object.keys(fields).length > 0 && { fields: { status: fields } }),
    ...(parts !== undefined && { parts }),
    ...(others.length > 0 && { othersConditions: others }),
    ...(resourceVersion !== undefined && { resourceVersion }),
  };
}

/** `found` is what is there now. */
export function conditionOf(
  { type, holds, reason, message }: Verdict,
  found: Pick<ObjectStatus, "conditions" | "generation">,
): WantedCondition {
  const status = holds === undefined ? "Unknown" : holds ? "True" : "False";
  const before = found.conditions.find((condition) => condition.type === type && condition.status === status);
  return {
    type,
    status,
    reason,
    message: storable(message),
    ...(found.generation !== undefined && { observedGeneration: found.generation }),
    ...(before !== undefined && before.since !== "" && { since: before.since }),
  };
}

/** As a server stores and gives it back: half a character would come back as another one. */
export function storable(message: string, charactersMax = MESSAGE_MAX): string {
  const text = message.length > charactersMax ? `${message.slice(0, charactersMax)}…` : message;
  return text.replace(/\p{Surrogate}/gu, "\uFFFD");
}

export function sameConditions(wanted: readonly WantedCondition[], found: readonly FoundCondition[]): boolean {
  return (
    wanted.length === found.length &&
    wanted.every((condition) =>
      found.some(
        (other) =>
          other.type === condition.type &&
          other.status === condition.status &&
          other.reason === condition.reason &&
          other.message === condition.message &&
          other.observedGeneration === condition.observedGeneration,
      ),
    )
  );
}
