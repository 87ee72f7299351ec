import { FieldError, isAbsent, isFields, listOf } from "../../registry/kube/fields.ts";
import { supportedFieldsOf } from "./read-fields.ts";

const ITEMS_MAX = 16;
const NARROWS = ["clusterSelector", "namespace", "selector", "revision"];

/**
 * A policy is for every cluster that is registered; one that chooses among them would leave some without a root, or with
 * two, and is not read as one for all.
 * @throws FieldError
 */
export function checkApplyToMeshes(value: unknown, field: string): void {
  for (const [at, item] of listOf(value, field, ITEMS_MAX).entries()) {
    const { istio } = supportedFieldsOf(item, `${field}[${at}]`, ["istio"]);
    if (isAbsent(istio)) continue;
    const choice = supportedFieldsOf(istio, `${field}[${at}].istio`, NARROWS);
    const narrows = NARROWS.find((name) => !isEmpty(choice[name]));
    if (narrows === undefined) continue;
    const why = "is not supported: a policy is for all clusters that are registered; leave it out";
    throw new FieldError(`${field}[${at}].istio.${narrows}`, why);
  }
}

const isEmpty = (value: unknown): boolean =>
  isAbsent(value) || value === "" || (isFields(value) && Object.keys(value).length === 0);
