import { type Fields, isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";
import { printable } from "../../printable.ts";

/** One of `status.conditions`, as cert-manager writes them. */
export interface Condition {
  readonly status: string;
  readonly reason: string;
  /** What it says in words; empty if nothing. */
  readonly message: string;
}

const MESSAGE_CHARACTERS_MAX = 400;

export function statusOf(object: KubeObject): Fields {
  return isFields(object["status"]) ? object["status"] : {};
}

/** By type; of two of a type the last counts. */
export function conditionsOf(object: KubeObject): ReadonlyMap<string, Condition> {
  const { conditions } = statusOf(object);
  if (!Array.isArray(conditions)) return new Map();
  return new Map(
    (conditions as unknown[])
      .filter(isFields)
      .map(({ type, status, reason, message }) => [
        text(type),
        { status: text(status), reason: text(reason), message: text(message) },
      ]),
  );
}

const text = (value: unknown): string => (typeof value === "string" ? printable(value, MESSAGE_CHARACTERS_MAX) : "");
