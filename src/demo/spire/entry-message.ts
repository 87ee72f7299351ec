import Long from "long";
import type { spire } from "../../../proto/gen/mesh.js";
import { MeshError } from "../../errors.ts";
import { type HeldEntry, type NewEntry, requireSelector } from "./entries.ts";
import { idOf, parseSpiffeId, requireMember, requireWorkload, textOf } from "./identity.ts";

/** With a mask, only what it names, and the id. */
export function toMessage(entry: HeldEntry, mask: spire.IEntryMask | null | undefined): spire.IEntry {
  const whole = {
    spiffeId: parseSpiffeId(entry.spiffeId),
    parentId: parseSpiffeId(entry.parentId),
    selectors: entry.selectors.map(toSelector),
    x509SvidTtl: entry.x509SvidTtlSeconds,
    federatesWith: [...entry.federatesWith],
    admin: entry.admin,
    downstream: entry.downstream,
    expiresAt: Long.fromNumber(Math.floor((entry.expiresAt ?? 0) / 1000)),
    dnsNames: [...entry.dnsNames],
    revisionNumber: Long.fromNumber(entry.revision),
    hint: entry.hint,
    createdAt: Long.fromNumber(Math.floor(entry.createdAt / 1000)),
  } satisfies spire.IEntry;
  if (mask === null || mask === undefined) return { id: entry.id, ...whole };
  const wanted = Object.entries(whole).filter(([field]) => (mask as Readonly<Record<string, unknown>>)[field] === true);
  return { id: entry.id, ...Object.fromEntries(wanted) };
}

const toSelector = (selector: string): spire.ISelector => {
  const at = selector.indexOf(":");
  return { type: selector.slice(0, at), value: selector.slice(at + 1) };
};

/** @throws MeshError `invalid` for one without a type or a value, or with a colon in its type. */
export function selectorOf({ type, value }: spire.ISelector): string {
  if (type?.includes(":") === true) throw new MeshError("invalid", "selector type contains ':'");
  const text = `${type ?? ""}:${value ?? ""}`;
  requireSelector(text);
  return text;
}

/** What a message says of an entry: with a mask, only what it names. @throws MeshError `invalid` */
export function toEntry(
  trustDomain: string,
  message: spire.IEntry,
  mask: spire.IEntryMask | null | undefined,
): Partial<NewEntry> {
  const says = (field: keyof spire.IEntryMask): boolean => mask === null || mask === undefined || mask[field] === true;
  const { x509SvidTtl = 0, admin = false, downstream = false, hint = "" } = message;
  const ends = Long.fromValue(message.expiresAt ?? 0).toNumber();
  return {
    ...(says("parentId") && { parentId: parentOf(trustDomain, message.parentId) }),
    ...(says("spiffeId") && { spiffeId: workloadOf(trustDomain, message.spiffeId) }),
    ...(says("selectors") && { selectors: selectorsOf(message.selectors ?? []) }),
    ...(says("x509SvidTtl") && { x509SvidTtlSeconds: x509SvidTtl ?? 0 }),
    ...(says("federatesWith") && { federatesWith: message.federatesWith ?? [] }),
    ...(says("admin") && { admin: admin ?? false }),
    ...(says("downstream") && { downstream: downstream ?? false }),
    ...(says("expiresAt") && ends > 0 && { expiresAt: ends * 1000 }),
    ...(says("dnsNames") && { dnsNames: message.dnsNames ?? [] }),
    ...(says("hint") && { hint: hint ?? "" }),
  };
}

const parentOf = (trustDomain: string, id: spire.ISpiffeId | null | undefined): string =>
  headed("invalid parent ID", () => textOf(requireMember(trustDomain, idOf(id))));
const workloadOf = (trustDomain: string, id: spire.ISpiffeId | null | undefined): string =>
  headed("invalid spiffe ID", () => textOf(requireWorkload(trustDomain, idOf(id))));

function selectorsOf(selectors: readonly spire.ISelector[]): readonly string[] {
  if (selectors.length === 0) throw new MeshError("invalid", "selector list is empty");
  return selectors.map(selectorOf);
}

function headed(headline: string, task: () => string): string {
  try {
    return task();
  } catch (thrown) {
    throw new MeshError("invalid", `${headline}: ${MeshError.from(thrown).message}`);
  }
}
