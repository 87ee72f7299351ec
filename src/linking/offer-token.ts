import { hash } from "node:crypto";
import { MeshError } from "../errors.ts";
import { isFields } from "../kube/fields.ts";
import { AHEAD_MS_MAX, type Offer, wrongFieldOf } from "./offer.ts";

/**
 * `causeway-link.v1.<content>.<check>`: JSON in base64url, and the first half of its SHA-256, which finds what was lost or
 * mistyped on the way. It is no signature: whoever can change a token can make one (docs/linking.md, "What an offer is").
 */
const HEAD = "causeway-link";
const VERSION = 1;
/** Eight roots with long keys, and as many addresses as there may be, are half of it. */
const TOKEN_CHARACTERS_MAX = 32_768;
const CHECK_CHARACTERS = 22;

const MADE_AGAIN = "ask the other team for a new one: causeway multicluster link --offer --context <theirs>";

export function encodeOffer(offer: Offer): string {
  const { roots, chain, ...plain } = offer;
  const content = { ...plain, roots: roots.map(base64), chain: chain.map(base64) };
  const body = `${HEAD}.v${VERSION}.${Buffer.from(JSON.stringify(content)).toString("base64url")}`;
  return `${body}.${checkOf(body)}`;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

const checkOf = (body: string): string => hash("sha256", body, "base64url").slice(0, CHECK_CHARACTERS);

/** What both teams can read to each other, as `1f3a-90bc-55d2-7e41`: another token has others. */
export function digitsOf(token: string): string {
  const digits = hash("sha256", bare(token), "hex").slice(0, 16);
  return digits.match(/.{4}/g)!.join("-");
}

/** Chats and terminals break long lines. */
const bare = (text: string): string => text.replace(/\s+/g, "");

/**
 * What a token says, whatever was given as one.
 * @param nowMs wall time in milliseconds since the Unix epoch.
 * @throws MeshError `invalid`, saying what is wrong with it and what to do: no token, a newer one, one that is cut short,
 * damaged or not made by this program, one of another time than this, or one whose time is up.
 */
export function decodeOffer(text: string, nowMs: number): Offer {
  const token = bare(text);
  if (token.length > TOKEN_CHARACTERS_MAX) throw refused("is longer than any offer", MADE_AGAIN);
  const [head, version, content, check, ...more] = token.split(".");
  if (head !== HEAD) throw refused("is none that link --offer prints", `it begins with ${HEAD}.v${VERSION}.`);
  if (version !== undefined && /^v[1-9][0-9]{0,5}$/.test(version) && version !== `v${VERSION}`)
    throw refused(
      `was made by a newer Causeway (${version}, and this one reads v${VERSION})`,
      "accept it with that release, or have it made with this one",
    );
  if (more.length === 0 && (content === undefined || check === undefined || check.length < CHECK_CHARACTERS))
    throw refused("is cut short", "copy all of it, to the last character");
  const body = `${head}.${version}.${content}`;
  if (more.length > 0 || version !== `v${VERSION}` || check !== checkOf(body))
    throw refused("was changed on its way, so that nothing in it can be believed", MADE_AGAIN);
  const offer = offerIn(content!);
  refuseUntimely(offer, nowMs);
  return offer;
}

function refuseUntimely({ cluster, madeMs, expiresMs }: Offer, nowMs: number): void {
  const timeOf = (ms: number): string => new Date(ms).toISOString();
  if (madeMs - nowMs > AHEAD_MS_MAX)
    throw refused(
      `of cluster ${cluster} says that it was made at ${timeOf(madeMs)}, and here it is ${timeOf(nowMs)}`,
      `set the clock of this machine, or have the other team set theirs, and ${MADE_AGAIN}`,
    );
  if (expiresMs <= nowMs)
    throw refused(`of cluster ${cluster} ended at ${timeOf(expiresMs)}`, `${MADE_AGAIN}, or with --for for longer`);
}

const refused = (what: string, fix: string): MeshError => new MeshError("invalid", `the offer ${what}: ${fix}`);

function offerIn(content: string): Offer {
  const said = parsed(content);
  const { roots, chain } = isFields(said) ? said : {};
  const offer: unknown = isFields(said) ? { ...said, roots: bytesOf(roots), chain: bytesOf(chain) } : said;
  const wrong = wrongFieldOf(offer);
  if (wrong === undefined) return offer as Offer;
  throw refused(`says of ${wrong} what cannot be, so that no Causeway made it`, MADE_AGAIN);
}

function parsed(content: string): unknown {
  try {
    return JSON.parse(Buffer.from(content, "base64url").toString()) as unknown;
  } catch {
    return undefined;
  }
}

const bytesOf = (list: unknown): unknown =>
  Array.isArray(list)
    ? list.map((item: unknown) => (typeof item === "string" ? new Uint8Array(Buffer.from(item, "base64url")) : item))
    : list;
