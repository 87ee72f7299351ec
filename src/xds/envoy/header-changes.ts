import type { HeaderChanges, HttpRule } from "../../registry/model/http-rule.ts";
import { refuse } from "./encodable.ts";
import { envoy } from "./message.ts";

type HeaderToAdd = envoy.config.core.v3.HeaderValueOption.$Properties;
type AppendAction = envoy.config.core.v3.HeaderValueOption.HeaderAppendAction;

const { APPEND_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS_OR_ADD } =
  envoy.config.core.v3.HeaderValueOption.HeaderAppendAction;

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,1024}$/;
/** Whatever a line of a header could not hold. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

export interface EncodedChanges {
  readonly toAdd: HeaderToAdd[];
  readonly toRemove: string[];
}

/** Envoy removes first, and then adds in this order. @throws MeshError `invalid` */
export function headerChanges(changes: HeaderChanges, rule: HttpRule, field: string): EncodedChanges {
  const one = (appendAction: AppendAction) => (pair: readonly [string, string]) =>
    headerToAdd(pair, appendAction, rule, field);
  return {
    toRemove: changes.remove.map((name) => checkedName(name, rule, `${field}.remove`)),
    toAdd: [...changes.set.map(one(OVERWRITE_IF_EXISTS_OR_ADD)), ...changes.add.map(one(APPEND_IF_EXISTS_OR_ADD))],
  };
}

function headerToAdd(
  [name, value]: readonly [string, string],
  appendAction: AppendAction,
  rule: HttpRule,
  field: string,
): HeaderToAdd {
  if (CONTROL.test(value)) refuse(rule, `${field}.${name}`, "has control characters; leave them out");
  // To Envoy a percent sign begins a command.
  const header = { key: checkedName(name, rule, field), value: value.replaceAll("%", "%%") };
  return { header, appendAction, keepEmptyValue: true };
}

function checkedName(name: string, rule: HttpRule, field: string): string {
  const shown = JSON.stringify(name.slice(0, 80));
  if (!NAME.test(name)) refuse(rule, field, `names ${shown}, which is no name of a header`);
  if (name === "host") refuse(rule, field, `changes "host"; use a rewrite of the hostname`);
  return name;
}
