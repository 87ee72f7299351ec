import { X509Certificate } from "node:crypto";
import { ADDRESS_KINDS, kindOfHost } from "../address-kind.ts";
import { isFields } from "../kube/fields.ts";
import { isClusterId } from "../names.ts";
import { parseIp } from "../registry/ip.ts";
import type { DataPlaneServiceType } from "../registry/model/peer.ts";
import { isHostname } from "../registry/kube/workload-entry.ts";
import { isTrustDomain } from "../spiffe.ts";

/** Beyond this nobody should have to believe that a cluster still is where it was, in milliseconds. */
export const OFFER_MS_MAX = 7 * 24 * 3_600_000;
/** How far the clock of whoever made an offer may be ahead, in milliseconds; as links have it before they warn. */
export const AHEAD_MS_MAX = 120_000;
export const ADDRESSES_MAX = 16;
export const ROOTS_MAX = 8;
export const CHAIN_MAX = 4;

/**
 * What a cluster's team says of it to another team, so that the two can be linked without anybody who may read both
 * (contract operations.md 1.6). All of it is public: who has it gets nowhere with it.
 */
export interface Offer {
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  /** Empty if it is in none. */
  readonly segment: string;
  /** Of its global names. */
  readonly domain: string;
  /** Of its east-west gateway, best first; names or IP addresses. */
  readonly addresses: readonly string[];
  readonly xdsPort: number;
  /** Left out if its control plane says it. */
  readonly hbonePort?: number;
  readonly via: DataPlaneServiceType;
  /** Of its east-west gateway. */
  readonly serviceAccount: string;
  /** Whom it believes, in DER. */
  readonly roots: readonly Uint8Array[];
  /** What it signs with, in DER, up to its root; empty if that could not be read, or is a root itself. */
  readonly chain: readonly Uint8Array[];
  /** The cluster whose offer was accepted before this was made; empty if it is the first. */
  readonly answers: string;
  /** Milliseconds since the Unix epoch, by the clock of whoever made it. */
  readonly madeMs: number;
  readonly expiresMs: number;
  /** The version of Causeway that made it. */
  readonly maker: string;
}

const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const ACCOUNT = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const VERSION = /^[A-Za-z0-9.+_-]{1,64}$/;

/** Each of its fields, with what it must be; what comes from elsewhere ends in objects of a cluster. */
const RULES: readonly (readonly [keyof Offer, (value: unknown) => boolean])[] = [
  ["cluster", (value) => typeof value === "string" && isClusterId(value)],
  ["network", (value) => isText(value, NAME)],
  ["trustDomain", (value) => typeof value === "string" && isTrustDomain(value)],
  ["segment", (value) => value === "" || isText(value, ACCOUNT)],
  ["domain", (value) => typeof value === "string" && isHostname(value)],
  ["addresses", (value) => isList(value, 1, ADDRESSES_MAX, isAddress)],
  ["xdsPort", isPort],
  ["hbonePort", (value) => value === undefined || isPort(value)],
  ["via", (value) => value === "loadbalancer" || value === "nodeport"],
  ["serviceAccount", (value) => isText(value, ACCOUNT)],
  ["roots", (value) => isList(value, 1, ROOTS_MAX, isCertificate)],
  ["chain", (value) => isList(value, 0, CHAIN_MAX, isCertificate)],
  ["answers", (value) => value === "" || (typeof value === "string" && isClusterId(value))],
  ["madeMs", isTime],
  ["expiresMs", isTime],
  ["maker", (value) => isText(value, VERSION)],
];

/** The first field that cannot be; undefined if it is an offer. */
export function wrongFieldOf(value: unknown): string | undefined {
  if (!isFields(value)) return "the whole";
  const wrong = RULES.find(([field, isRight]) => !isRight(value[field]))?.[0];
  if (wrong !== undefined) return wrong;
  const { madeMs, expiresMs } = value as unknown as Offer;
  return expiresMs > madeMs && expiresMs - madeMs <= OFFER_MS_MAX ? undefined : "expiresMs";
}

const isText = (value: unknown, pattern: RegExp): boolean => typeof value === "string" && pattern.test(value);

const isList = (value: unknown, least: number, most: number, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length >= least && value.length <= most && value.every(isItem);

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) <= 65_535;
}

function isTime(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

const isAddress = (value: unknown): boolean =>
  typeof value === "string" && (parseIp(value) !== undefined || isHostname(value)) && kindOfHost(value) === undefined;

/** Why nobody may be sent to an address by what another team says; undefined if one may. */
export function whyNotAddress(address: string): string | undefined {
  const kind = kindOfHost(address);
  return kind && ADDRESS_KINDS[kind];
}

function isCertificate(value: unknown): boolean {
  if (!(value instanceof Uint8Array)) return false;
  try {
    return new X509Certificate(value).raw.equals(value);
  } catch {
    return false;
  }
}
