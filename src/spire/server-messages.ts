import Long from "long";
import { spire } from "../../proto/gen/mesh.js";
import { MeshError } from "../errors.ts";
import type { EntryFilter, EntryResult, MintedSvid, SpireAgent, SpireBundle, SpireEntry } from "./spire.ts";

/** What is written of each entry: all that ours have; its id always is. */
export const ENTRY_MASK = {
  spiffeId: true,
  parentId: true,
  selectors: true,
  x509SvidTtl: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  expiresAt: true,
  dnsNames: true,
  hint: true,
} as const satisfies spire.IEntryMask;
/** What is asked of each: also what entries of ours never are. */
export const ASKED_MASK = { ...ENTRY_MASK, storeSvid: true } as const satisfies spire.IEntryMask;

export function entryOf(entry: spire.IEntry): SpireEntry {
  const { expiresAt } = entry;
  return {
    id: entry.id ?? "",
    spiffeId: idOf(entry.spiffeId),
    parentId: idOf(entry.parentId),
    selectors: selectorsOf(entry.selectors),
    x509SvidTtlSeconds: entry.x509SvidTtl ?? 0,
    federatesWith: entry.federatesWith ?? [],
    admin: entry.admin ?? false,
    downstream: entry.downstream ?? false,
    ...(entry.storeSvid === true && { storeSvid: true }),
    expiresAt: expiresAt === undefined || expiresAt === null || isZero(expiresAt) ? undefined : msOf(expiresAt),
    dnsNames: entry.dnsNames ?? [],
    hint: entry.hint ?? "",
  };
}

/** @throws MeshError `invalid` for an identity or a selector that SPIRE would not take. */
export function entryMessage(entry: SpireEntry): spire.IEntry {
  return {
    id: entry.id,
    spiffeId: idMessage(entry.spiffeId),
    parentId: idMessage(entry.parentId),
    selectors: entry.selectors.map(selectorMessage),
    x509SvidTtl: entry.x509SvidTtlSeconds,
    federatesWith: [...entry.federatesWith],
    admin: entry.admin,
    downstream: entry.downstream,
    expiresAt: Long.fromNumber(Math.floor((entry.expiresAt ?? 0) / 1000)),
    dnsNames: [...entry.dnsNames],
    hint: entry.hint,
  };
}

export function filterMessage({ spiffeId, parentId, selectors }: EntryFilter): spire.IEntryFilter {
  const match = spire.SelectorMatch.Behavior.MATCH_SUPERSET;
  return {
    ...(spiffeId !== undefined && { bySpiffeId: idMessage(spiffeId) }),
    ...(parentId !== undefined && { byParentId: idMessage(parentId) }),
    ...(selectors !== undefined && { bySelectors: { selectors: selectors.map(selectorMessage), match } }),
  };
}

export const agentOf = (agent: spire.IAgent): SpireAgent => ({
  id: idOf(agent.id),
  attestationType: agent.attestationType ?? "",
  selectors: selectorsOf(agent.selectors),
  banned: agent.banned ?? false,
  expiresAt: msOf(agent.x509svidExpiresAt),
});

export function bundleOf(bundle: spire.IBundle): SpireBundle {
  const authorities = bundle.x509Authorities ?? [];
  const bytesOf = (authority: spire.IX509Authority): Uint8Array => authority.asn1 ?? new Uint8Array();
  return {
    trustDomain: bundle.trustDomain ?? "",
    authorities: authorities.map(bytesOf),
    tainted: authorities.filter(({ tainted }) => tainted === true).map(bytesOf),
    sequence: BigInt(bundle.sequenceNumber?.toString() ?? 0),
    refreshHintSeconds: Number(bundle.refreshHint ?? 0),
  };
}

/** @throws MeshError `unavailable` for an answer without a certificate. */
export function mintedOf(svid: spire.IX509Svid | null | undefined): MintedSvid {
  const chain = svid?.certChain ?? [];
  if (chain.length === 0) throw new MeshError("unavailable", "SPIRE's server answered without a certificate");
  return { chain, spiffeId: idOf(svid?.id), expiresAt: msOf(svid?.expiresAt) };
}

/** Codes of gRPC. */
const STATUS = { ok: 0, notFound: 5, alreadyExists: 6 } as const;

export function resultOf(
  { code, message }: spire.IStatus,
  entry: spire.IEntry | null | undefined,
  done: "created" | "updated" | "deleted",
): EntryResult {
  const there = entry === undefined || entry === null ? undefined : entryOf(entry);
  if ((code ?? STATUS.ok) === STATUS.ok) return { why: done, message: "", entry: there };
  const why = code === STATUS.notFound ? "absent" : code === STATUS.alreadyExists ? "conflict" : "refused";
  return { why, message: message ?? "", entry: there };
}

/** As `spiffe://example.org/ns/shop/sa/cart`; empty if it is missing. */
export const idOf = (id: spire.ISpiffeId | null | undefined): string =>
  id === undefined || id === null ? "" : `spiffe://${id.trustDomain ?? ""}${id.path ?? ""}`;

const ID = /^spiffe:\/\/([^/]+)(\/.*)?$/;

function idMessage(id: string): spire.ISpiffeId {
  const [, trustDomain, path = ""] = ID.exec(id) ?? [];
  if (trustDomain === undefined) throw new MeshError("invalid", `${JSON.stringify(id)} is no SPIFFE ID`);
  return { trustDomain, path };
}

/** As `k8s:ns:shop`: the type is what is before the first colon. */
export function selectorMessage(selector: string): spire.ISelector {
  const at = selector.indexOf(":");
  if (at <= 0 || at === selector.length - 1)
    throw new MeshError("invalid", `${JSON.stringify(selector)} is no selector; write one as k8s:ns:shop`);
  return { type: selector.slice(0, at), value: selector.slice(at + 1) };
}

const selectorsOf = (selectors: readonly spire.ISelector[] | null | undefined): readonly string[] =>
  (selectors ?? []).map(({ type, value }) => `${type ?? ""}:${value ?? ""}`);

const isZero = (seconds: Long | number): boolean => Number(seconds) === 0;
const msOf = (seconds: Long | number | null | undefined): number => Number(seconds ?? 0) * 1000;
