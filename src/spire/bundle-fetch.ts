import { readFile } from "node:fs/promises";
import { ADDRESS_KINDS, guardedLookup, type InnerKind, innerKindOf } from "../address-kind.ts";
import { type BundleSource, trustDomainOfId } from "../bundle-config.ts";
import { httpsGet, type HttpsOptions } from "../ca/https-get.ts";
import { toPem, wholePemBlocks } from "../pem.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { Trust } from "../trust.ts";
import { parseBundleDocument } from "./bundle-document.ts";
import { whyNotIdentity } from "./shown-identity.ts";

/** Gets the text at a bundle endpoint that has proven itself. @throws MeshError or Error, with a sentence. */
export type FetchBundle = (source: BundleSource, signal: AbortSignal) => Promise<string>;

const REACHES: readonly InnerKind[] = ["linkLocal", "loopback", "private"];

/**
 * Reads from the address that was looked at, and from no other: names are resolved once, and no redirect is followed. ⇄
 * @param allowed where bundles may be, besides in the internet.
 * @param trust whose roots an endpoint's SPIFFE ID is verified by.
 */
export function bundleFetch(clock: Clock, allowed: ReadonlySet<InnerKind>, trust: Pick<Trust, "rootsOf">): FetchBundle {
  const refused = REACHES.filter((kind) => !allowed.has(kind));
  const lookup = guardedLookup(refused);
  return async (source, signal) => {
    const kind = innerKindOf(new URL(source.url).hostname);
    if (kind !== undefined && refused.includes(kind))
      throw new MeshError("denied", `it is at ${ADDRESS_KINDS[kind]}${kind === "linkLocal" ? "" : allowWith(kind)}`);
    return httpsGet(clock, { ...(await proofOf(source, trust)), lookup, signal })(source.url);
  };
}

const allowWith = (kind: InnerKind): string => `, which --trust-bundle-allow ${kind} allows`;

async function proofOf(source: BundleSource, trust: Pick<Trust, "rootsOf">): Promise<HttpsOptions> {
  const { profile, rootsFile } = source;
  if (profile.kind === "https_web") return rootsFile === undefined ? {} : { ca: await authoritiesIn(rootsFile) };
  const trustDomain = trustDomainOfId(profile.id);
  const first = rootsFile === undefined ? [] : await rootsIn(rootsFile, trustDomain);
  const roots = [...first, ...trust.rootsOf(trustDomain)];
  if (roots.length === 0) throw new MeshError("denied", noRoots(trustDomain));
  return {
    ca: roots.map((root) => toPem("CERTIFICATE", root)).join(""),
    // The bundle is what is trusted, whether or not what is in it is signed by itself.
    allowPartialTrustChain: true,
    checkServerIdentity: (_host, shown) => whyNotIdentity(shown, profile.id),
  };
}

const noRoots = (trustDomain: string): string =>
  `its endpoint proves itself by trust domain ${trustDomain}, of which no root is known; give its first bundle as roots=file`;

async function authoritiesIn(path: string): Promise<string> {
  return readFile(path, "utf8").catch((thrown: unknown) => {
    throw new MeshError("invalid", `roots=${path} cannot be read: ${messageOf(thrown)}`);
  });
}

async function rootsIn(path: string, trustDomain: string): Promise<readonly Uint8Array[]> {
  try {
    const text = await readFile(path, "utf8");
    if (text.trimStart().startsWith("{")) return parseBundleDocument(text, [trustDomain]).authorities;
    return wholePemBlocks(text, "CERTIFICATE");
  } catch (thrown) {
    throw new MeshError("invalid", `the first bundle in ${path} cannot be read: ${messageOf(thrown)}`);
  }
}
