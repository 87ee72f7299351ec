import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { keyIdOf, organizationName, signatureOf, type UnlintedCertificate } from "../../src/ca/certificate.ts";
import { NAME_TAG } from "../../src/ca/certificate-fields.ts";
import { newCsr } from "../../src/ca/client.ts";
import { bitString, contextTag, der, integer, oid, sequence, TAG, time } from "../../src/ca/der.ts";
import type { LintContext } from "../../src/ca/lint.ts";

/** A certificate as it lies in its bytes, each part in DER, or in what is said to be DER. */
export interface Parts {
  readonly version: Buffer;
  readonly serial: Buffer;
  readonly algorithm: Buffer;
  readonly issuer: Uint8Array;
  readonly validity: Buffer;
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly extensions: Readonly<Record<string, Buffer>>;
  /** After the extensions. */
  readonly more: Buffer;
  readonly outerAlgorithm: Buffer;
  readonly signer: KeyObject;
  /** What becomes of the whole in the end. */
  readonly finish: (whole: Buffer) => Buffer;
}

const now = 1_700_000_000_000;
const { privateKey, publicKey: issuerKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const { publicKey } = newCsr();
export const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
export const uri = "spiffe://cluster.local/ns/shop/sa/cart";
const issuer = organizationName("cluster.local");
const issuerKeyId = Buffer.alloc(20, 1);
const { identifier } = signatureOf(privateKey);

export const context: LintContext = {
  request: { identity, publicKey, ttlSeconds: 3600 },
  trustDomain: "cluster.local",
  issuer,
  issuerKeyId,
  issuerNotAfter: now + 7_200_000,
  signature: signatureOf(privateKey),
  issuerKey,
  now,
};

const TRUE = Buffer.of(1, 1, 0xff);
const FALSE = Buffer.of(1, 1, 0);
const extension = (id: string, flag: Buffer, value: Uint8Array): Buffer =>
  sequence(oid(id), flag, der(TAG.octetString, value));
const none = Buffer.alloc(0);
const life = (from: number, to: number): Buffer => sequence(time(now + from), time(now + to));
const names = (...all: readonly Buffer[]): Buffer => extension("2.5.29.17", TRUE, sequence(...all));
const uriName = (text: string): Buffer => der(NAME_TAG.uri, Buffer.from(text, "latin1"));
const usage = (unused: number, ...bits: readonly number[]): Buffer =>
  extension("2.5.29.15", TRUE, der(TAG.bitString, Buffer.of(unused, ...bits)));
const purposes = (...ids: readonly string[]): Buffer => extension("2.5.29.37", none, sequence(...ids.map(oid)));
const SERVER = "1.3.6.1.5.5.7.3.1";
const CLIENT = "1.3.6.1.5.5.7.3.2";

/** As a certificate should be. */
const good: Parts = {
  version: der(contextTag(0, true), integer(Buffer.of(2))),
  serial: integer(Buffer.alloc(16, 0x45)),
  algorithm: identifier,
  issuer,
  validity: life(-60_000, 3_600_000),
  subject: sequence(),
  publicKey,
  extensions: {
    usage: usage(5, 0xa0),
    purposes: purposes(SERVER, CLIENT),
    constraints: extension("2.5.29.19", TRUE, sequence()),
    ownKey: extension("2.5.29.14", none, der(TAG.octetString, keyIdOf(publicKey))),
    issuerKey: extension("2.5.29.35", none, sequence(der(contextTag(0, false), issuerKeyId))),
    names: names(uriName(uri)),
  },
  more: none,
  outerAlgorithm: identifier,
  signer: privateKey,
  finish: (whole) => whole,
};

/** The good certificate with these parts instead of its own, signed as it then is. */
export function certificateWith(change: Partial<Parts> = {}): UnlintedCertificate {
  const parts = { ...good, ...change };
  const signed = sequence(
    parts.version,
    parts.serial,
    parts.algorithm,
    parts.issuer,
    parts.validity,
    parts.subject,
    parts.publicKey,
    der(contextTag(3, true), sequence(...Object.values(parts.extensions))),
    parts.more,
  );
  const whole = sequence(signed, parts.outerAlgorithm, bitString(sign("sha256", signed, parts.signer)));
  // What a lint is for: it must not have to trust who signed.
  return parts.finish(whole) as UnlintedCertificate;
}

const having = (change: Readonly<Record<string, Buffer>>): Partial<Parts> => ({
  extensions: { ...good.extensions, ...change },
});
const lacking = (name: string): Partial<Parts> => ({
  extensions: Object.fromEntries(Object.entries(good.extensions).filter(([key]) => key !== name)),
});
const spkiOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
const edited =
  (change: (copy: Buffer) => Buffer | void): Parts["finish"] =>
  (whole) => {
    const copy = Buffer.from(whole);
    return change(copy) ?? copy;
  };

interface Malformed {
  readonly what: string;
  readonly change: Partial<Parts>;
  readonly reason: RegExp;
  /** What the linter is told besides. */
  readonly context?: Partial<LintContext>;
}

const malformed = (what: string, change: Partial<Parts>, reason: RegExp, more?: Partial<LintContext>): Malformed => ({
  what,
  change,
  reason,
  ...(more !== undefined && { context: more }),
});

const frame: readonly Malformed[] = [
  malformed("version 1", { version: none }, /4\.1\.2\.1: it is not of version 3/),
  malformed("version 2", { version: der(contextTag(0, true), integer(Buffer.of(1))) }, /4\.1\.2\.1: .*version 3/),
  malformed("a serial of zero", { serial: integer(Buffer.of(0)) }, /4\.1\.2\.2: its serial number/),
  malformed("a negative serial", { serial: der(TAG.integer, Buffer.of(0x80, 1)) }, /4\.1\.2\.2: its serial number/),
  malformed("a serial of 21 bytes", { serial: integer(Buffer.alloc(21, 1)) }, /4\.1\.2\.2: its serial number/),
  malformed("a serial of no bytes", { serial: der(TAG.integer) }, /4\.1\.2\.2: its serial number/),
  malformed("a padded serial", { serial: der(TAG.integer, Buffer.of(0, 0x45)) }, /8\.3\.2: .*shortest form/),
  malformed(
    "a weaker algorithm outside",
    { outerAlgorithm: sequence(oid("1.2.840.10045.4.1")) },
    /4\.1\.1\.2: its signature algorithm differs/,
  ),
  malformed(
    "SHA-1 inside and outside",
    { algorithm: sequence(oid("1.2.840.10045.4.1")), outerAlgorithm: sequence(oid("1.2.840.10045.4.1")) },
    /4\.1\.2\.3: its signature algorithm is not that of its issuer's key/,
  ),
  malformed("another issuer", { issuer: organizationName("other") }, /4\.1\.2\.4: its issuer is not who signed it/),
  malformed("another key than was asked for", { publicKey: newCsr().publicKey }, /key is not the one that was asked/),
  malformed(
    "a signature of another key",
    { signer: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey },
    /4\.1\.1\.3: its signature does not verify/,
  ),
  malformed(
    "a signature that was damaged",
    { finish: edited((copy) => void (copy[copy.length - 1]! ^= 1)) },
    /4\.1\.1\.3: its signature does not verify/,
  ),
];

/** Keys that the request should never have brought so far. */
const weak = (what: string, key: Buffer, reason: RegExp): Malformed =>
  malformed(what, { publicKey: key }, reason, { request: { ...context.request, publicKey: key } });
const rsaOf = (bits: number): Buffer => {
  const n = Buffer.alloc(bits / 8, 0xff).toString("base64url");
  return spkiOf(createPublicKey({ key: { kty: "RSA", n, e: "AQAB" }, format: "jwk" }));
};
const compressed = (): Buffer => {
  const point = Buffer.from(publicKey).subarray(26);
  const short = Buffer.concat([Buffer.of(2 + (point.at(-1)! & 1)), point.subarray(1, 33)]);
  return sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bitString(short));
};
const keys: readonly Malformed[] = [
  weak("an RSA key of 1024 bits", rsaOf(1024), /4\.1\.2\.7: its key is RSA of 1024 bits/),
  weak("an RSA key of 8192 bits", rsaOf(8192), /4\.1\.2\.7: its key is RSA of 8192 bits/),
  weak(
    "a key on P-224",
    spkiOf(generateKeyPairSync("ec", { namedCurve: "P-224" }).publicKey),
    /4\.1\.2\.7: its key is on the curve 1\.3\.132\.0\.33/,
  ),
  weak(
    "an Ed25519 key",
    spkiOf(generateKeyPairSync("ed25519").publicKey),
    /4\.1\.2\.7: its key is of the kind 1\.3\.101/,
  ),
  weak("a compressed point", compressed(), /4\.1\.2\.7: its key is no uncompressed point/),
  malformed("no name of its issuer's key", lacking("issuerKey"), /4\.2\.1\.1: it does not name its issuer's key/),
  malformed(
    "the name of another key of its issuer",
    having({ issuerKey: extension("2.5.29.35", none, sequence(der(contextTag(0, false), Buffer.alloc(20, 2)))) }),
    /4\.2\.1\.1: it does not name its issuer's key/,
  ),
  malformed("no name of its own key", lacking("ownKey"), /4\.2\.1\.2: it does not name its own key/),
  malformed(
    "the name of another key for its own",
    having({ ownKey: extension("2.5.29.14", none, der(TAG.octetString, Buffer.alloc(20))) }),
    /4\.2\.1\.2: it does not name its own key/,
  ),
];

const lives: readonly Malformed[] = [
  malformed(
    "a life that ends before it begins",
    { validity: life(-60_000, -61_000) },
    /4\.1\.2\.5: .*before it begins/,
  ),
  malformed("a life that is over", { validity: life(-60_000, -1_000) }, /its life is over/),
  malformed("a beginning in a second", { validity: life(1_000, 3_600_000) }, /its life has not begun/),
  malformed("a beginning in 121 seconds", { validity: life(121_000, 3_600_000) }, /its life has not begun/),
  malformed("a beginning 121 seconds ago", { validity: life(-121_000, 3_600_000) }, /began over 120 s ago/),
  malformed("an end after its issuer's", { validity: life(0, 7_201_000) }, /X509-SVID 2: it outlasts its issuer/),
  malformed("an issuer that has ended", {}, /its issuer has ended/, { issuerNotAfter: now - 1000 }),
  malformed("a longer life than was asked for", { validity: life(0, 3_601_000) }, /longer than was asked for/),
  malformed(
    "times in the form for after 2049",
    { validity: sequence(der(TAG.generalizedTime, Buffer.from("20231114221220Z")), time(now + 3_600_000)) },
    /4\.1\.2\.5: its times are not written as they must be/,
  ),
  malformed(
    "a time without seconds",
    { validity: sequence(der(TAG.utcTime, Buffer.from("2311142212Z")), time(now + 3_600_000)) },
    /it has|has the time/,
  ),
  malformed(
    "a day that there is not",
    { validity: sequence(time(now - 60_000), der(TAG.utcTime, Buffer.from("230231000000Z"))) },
    /4\.1/,
  ),
];

const dnsName = der(NAME_TAG.dns, Buffer.from("cart.shop"));
const named = (what: string, all: readonly Buffer[], reason: RegExp): Malformed =>
  malformed(what, having({ names: names(...all) }), reason);
/** A name that agrees with the identity that was asked for, which should never have come so far. */
const agreed = (what: string, change: Partial<typeof identity>, reason: RegExp): Malformed => {
  const asked = { ...identity, ...change };
  const text = `spiffe://${asked.trustDomain}/ns/${asked.namespace}/sa/${asked.serviceAccount}`;
  const more = { request: { ...context.request, identity: asked } };
  return malformed(what, having({ names: names(uriName(text)) }), reason, more);
};
const one = /X509-SVID 2: it has not exactly one URI name/;
const segment = /SPIFFE-ID 2: .*(segment|the path is not)/;
const domain = /SPIFFE-ID 2: .*the (trust domain may only|path is not)/;
const nameCases: readonly Malformed[] = [
  named("two identities of ours", [uriName(uri), uriName(`${uri}2`)], one),
  named("an identity of ours and a foreign one", [uriName(uri), uriName("spiffe://td2/ns/shop/sa/cart")], one),
  named("another URI before its identity", [uriName("spiffe://cluster.local/ns/shop/sa/pay"), uriName(uri)], one),
  named("a DNS name beside its identity", [uriName(uri), dnsName], one),
  named("an address beside its identity", [uriName(uri), der(NAME_TAG.ip, Buffer.of(10, 0, 0, 1))], one),
  named("a DNS name alone", [dnsName], one),
  named("no name", [], one),
  malformed("no alternative names", lacking("names"), one),
  named("another identity", [uriName("spiffe://cluster.local/ns/shop/sa/pay")], /not the identity that was asked for/),
  named("a trailing slash", [uriName(`${uri}/`)], /not the identity that was asked for/),
  named("the scheme in capitals", [uriName(uri.replace("spiffe", "SPIFFE"))], /not the identity that was asked for/),
  named("NUL at the end of its name", [uriName(`${uri}\0`)], /not the identity that was asked for/),
  agreed("a service account with a slash", { serviceAccount: "cart/../admin" }, segment),
  agreed("an empty service account", { serviceAccount: "" }, segment),
  agreed("two dots for a service account", { serviceAccount: ".." }, segment),
  agreed("a service account that is escaped", { serviceAccount: "c%61rt" }, segment),
  agreed("a space in its namespace", { namespace: "sh op" }, segment),
  agreed("a trust domain with a comma", { trustDomain: "a,b" }, domain),
  agreed("a trust domain with a port", { trustDomain: "cluster.local:443" }, domain),
  agreed("a trust domain in capitals", { trustDomain: "Cluster.local" }, domain),
  agreed("an empty trust domain", { trustDomain: "" }, domain),
  agreed("a name of 2049 bytes", { serviceAccount: "a".repeat(2049 - uri.length + 4) }, /longer than 2048 bytes/),
  agreed("a foreign trust domain", { trustDomain: "td2.test" }, /X509-SVID 3: its trust domain is not its issuer's/),
  malformed("a subject", { subject: organizationName("x") }, /a subject beside its name/),
  malformed(
    "a name that is not critical",
    having({ names: extension("2.5.29.17", none, sequence(uriName(uri))) }),
    /4\.2\.1\.6: its name is not critical/,
  ),
];

const constraints = (flag: Buffer, value: Uint8Array): Partial<Parts> =>
  having({ constraints: extension("2.5.29.19", flag, value) });
const uses: readonly Malformed[] = [
  malformed("the rights of an authority", constraints(TRUE, sequence(TRUE)), /X509-SVID 4\.1: it is an authority/),
  malformed("the rights written out as none", constraints(TRUE, sequence(FALSE)), /X509-SVID 4\.1/),
  malformed("constraints that are not critical", constraints(none, sequence()), /4\.2\.1\.9: .*as critical/),
  malformed("no constraints", lacking("constraints"), /4\.2\.1\.9/),
  malformed("no key usage", lacking("usage"), /4\.3: it has no key usage/),
  malformed(
    "a key usage that is not critical",
    having({ usage: extension("2.5.29.15", none, der(TAG.bitString, Buffer.of(5, 0xa0))) }),
    /4\.3: .*none that is critical/,
  ),
  malformed("no digitalSignature", having({ usage: usage(5, 0x20) }), /4\.3: .*lacks digitalSignature/),
  malformed("an empty key usage", having({ usage: usage(0) }), /4\.3: .*lacks digitalSignature/),
  malformed("keyCertSign", having({ usage: usage(2, 0xa4) }), /4\.3: its key usage has keyCertSign/),
  malformed("cRLSign", having({ usage: usage(1, 0xa2) }), /4\.3: its key usage has cRLSign/),
  malformed("no purposes", lacking("purposes"), /4\.4: it is not for servers and clients both/),
  malformed("use for servers only", having({ purposes: purposes(SERVER) }), /4\.4/),
  malformed("use for clients only", having({ purposes: purposes(CLIENT) }), /4\.4/),
  malformed(
    "use for signing code besides",
    having({ purposes: purposes(SERVER, CLIENT, "1.3.6.1.5.5.7.3.3") }),
    /4\.4/,
  ),
  malformed("use for anything", having({ purposes: purposes("2.5.29.37.0") }), /4\.4/),
];

const encodings: readonly Malformed[] = [
  malformed(
    "a critical extension that nobody knows",
    having({ unknown: extension("1.2.3.4", TRUE, sequence()) }),
    /RFC 5280 4\.2: it has the extension 1\.2\.3\.4/,
  ),
  malformed(
    "an extension that nobody asked for",
    having({ policies: extension("2.5.29.32", none, sequence()) }),
    /RFC 5280 4\.2: it has the extension 2\.5\.29\.32/,
  ),
  malformed("an extension twice", having({ again: good.extensions["names"]! }), /has the extension 2\.5\.29\.17 twice/),
  malformed(
    "an extension that says it is not critical",
    having({ purposes: extension("2.5.29.37", FALSE, sequence(oid(SERVER), oid(CLIENT))) }),
    /X\.690 11\.5/,
  ),
  malformed(
    "something after its names",
    having({ names: extension("2.5.29.17", TRUE, Buffer.concat([sequence(uriName(uri)), Buffer.of(5, 0)])) }),
    /X\.690: .*something follows/,
  ),
  malformed("something after its extensions", { more: Buffer.of(5, 0) }, /X\.690: .*something follows/),
  malformed("a byte after its end", { finish: (whole) => Buffer.concat([whole, Buffer.of(0)]) }, /something follows/),
  malformed("its last ten bytes missing", { finish: (whole) => whole.subarray(0, -10) }, /X\.690: .*longer than what/),
  malformed(
    "a length that is indefinite",
    { finish: (whole) => Buffer.concat([Buffer.of(0x30, 0x80), whole.subarray(4), Buffer.of(0, 0)]) },
    /X\.690: .*indefinite/,
  ),
  malformed(
    "a length in more bytes than it needs",
    { finish: (whole) => Buffer.concat([Buffer.of(0x30, 0x83, 0), whole.subarray(2)]) },
    /X\.690: .*shortest form/,
  ),
  malformed("nothing in it", { finish: () => Buffer.alloc(0) }, /X\.690: .*cut short/),
];

export const malformedCertificates: readonly Malformed[] = [
  ...frame,
  ...keys,
  ...lives,
  ...nameCases,
  ...uses,
  ...encodings,
];
