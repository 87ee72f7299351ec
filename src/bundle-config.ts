import type { InnerKind } from "./address-kind.ts";
import { type Environment, type Options, UsageError } from "./command.ts";
import { allGiven, commaListOf, given, type Given, portOf, refuse, type Setting, setting } from "./settings.ts";
import { isTrustDomain } from "./spiffe.ts";

/**
 * Where the bundle of a trust domain is read. Nothing of it follows from anything else in it: an address says neither whose
 * bundle is there nor how its owner proves itself (contract identity.md 1.6).
 */
export interface BundleSource {
  /** Whose it is; several only if the mesh config says so. */
  readonly trustDomains: readonly string[];
  /** Begins with https://. */
  readonly url: string;
  readonly profile: BundleProfile;
  /**
   * A file that is read each time: for https_web, PEM of the authorities that count instead of the public ones; for
   * https_spiffe, the first bundle of the endpoint's trust domain, in PEM or as a SPIFFE bundle.
   */
  readonly rootsFile: string | undefined;
}

/** By a name of the web, or by the SPIFFE ID that the endpoint shows. */
export type BundleProfile = { readonly kind: "https_web" } | { readonly kind: "https_spiffe"; readonly id: string };

export interface BundleConfig {
  /** TCP, 0 for any that is free; undefined if our bundle is not served. */
  readonly port: number | undefined;
  /** PEM files for https_web; undefined to serve with our own identity, as https_spiffe. */
  readonly certificate: { readonly chain: string; readonly key: string } | undefined;
  readonly sources: readonly BundleSource[];
  /** Where bundles may be, besides in the internet. */
  readonly allowed: ReadonlySet<InnerKind>;
}

export const BUNDLE_SETTINGS = {
  port: setting("--bundle-port <port>", "serves our trust bundle over https; off by default"),
  certificate: setting("--bundle-cert <file>", "its certificate chain in PEM; our own identity's by default"),
  key: setting("--bundle-key <file>", "the key of that, in PEM"),
  trustBundle: setting(
    "--trust-bundle <source>",
    "the bundle of another trust domain: name=https://...,profile=https_web|https_spiffe,id=spiffe://...,roots=file",
    undefined,
    true,
  ),
  allow: setting("--trust-bundle-allow <kinds>", "where bundles may be, too: private, loopback; in the internet only"),
} as const satisfies Readonly<Record<string, Setting>>;

const SOURCE_RIGHT =
  "give name=https://host/,profile=https_web, or name=https://host/,profile=https_spiffe,id=spiffe://name/path, and roots=file if need be";
const SPIFFE_ID = /^spiffe:\/\/([^/]+)((?:\/[a-zA-Z0-9._-]+)+)$/;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadBundleConfig(options: Options, environment: Environment, ownTrustDomain: string): BundleConfig {
  const value = (name: keyof typeof BUNDLE_SETTINGS) => given(BUNDLE_SETTINGS[name], options, environment);
  const [port, chain, key, allow] = [value("port"), value("certificate"), value("key"), value("allow")];
  if ((chain === undefined) !== (key === undefined))
    throw new UsageError("--bundle-cert and --bundle-key belong together: give both, or neither");
  if (chain !== undefined && port === undefined)
    throw new UsageError("--bundle-cert is for the bundle that we serve: name its port with --bundle-port");
  return {
    port: port && portOf(port),
    certificate: chain && key && { chain: chain.text, key: key.text },
    sources: allGiven(BUNDLE_SETTINGS.trustBundle, options).map((source) => sourceOf(source, ownTrustDomain)),
    allowed: new Set(allow === undefined ? [] : commaListOf(allow).map((word) => kindOf(word, allow))),
  };
}

function kindOf(word: string, allow: Given): InnerKind {
  if (word === "private" || word === "loopback") return word;
  return refuse(allow, "use private and loopback; link-local and metadata addresses are always refused");
}

function sourceOf(value: Given, ownTrustDomain: string): BundleSource {
  const [name = "", url = "", ...others] = splitSource(value);
  if (!isTrustDomain(name)) return refuse(value, `begin with the name of a trust domain and =: ${SOURCE_RIGHT}`);
  if (name === ownTrustDomain) return refuse(value, "our own trust domain's bundle is what we serve; name another's");
  if (!URL.canParse(url) || new URL(url).protocol !== "https:" || new URL(url).username !== "")
    return refuse(value, `its URL must begin with https://, without a password: ${SOURCE_RIGHT}`);
  const fields = fieldsOf(others, value);
  const rootsFile = fields.get("roots");
  return { trustDomains: [name], url, profile: profileOf(fields, value), rootsFile };
}

function splitSource(value: Given): readonly string[] {
  const [first = "", ...others] = value.text.split(",");
  const at = first.indexOf("=");
  return [first.slice(0, Math.max(at, 0)), first.slice(at + 1), ...others];
}

function fieldsOf(words: readonly string[], value: Given): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const word of words) {
    const [, name, text] = /^(profile|id|roots)=(.+)$/.exec(word) ?? [];
    if (name === undefined || fields.has(name)) return refuse(value, SOURCE_RIGHT);
    fields.set(name, text!);
  }
  return fields;
}

function profileOf(fields: ReadonlyMap<string, string>, value: Given): BundleProfile {
  const [profile, id] = [fields.get("profile"), fields.get("id")];
  if (profile === "https_web" && id === undefined) return { kind: profile };
  if (profile !== "https_spiffe")
    return refuse(value, `say how it proves itself, profile=https_web or https_spiffe: ${SOURCE_RIGHT}`);
  const [, trustDomain] = SPIFFE_ID.exec(id ?? "") ?? [];
  if (id !== undefined && trustDomain !== undefined && isTrustDomain(trustDomain)) return { kind: profile, id };
  return refuse(value, `https_spiffe needs the identity of the endpoint, as id=spiffe://west.example/spire/server`);
}

/** The trust domain of a SPIFFE ID that was read here. */
export const trustDomainOfId = (id: string): string => SPIFFE_ID.exec(id)![1]!;
