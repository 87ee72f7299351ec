import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import fc from "fast-check";
import { bitString, contextTag, der, DerReader, integer, oid, sequence, TAG } from "../../src/ca/der.ts";
import { toPem } from "../../src/pem.ts";

const LABEL = "CERTIFICATE REQUEST";
const spkiOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });

interface Requester {
  readonly name: string;
  readonly publicKey: Buffer;
  readonly privateKey: KeyObject;
  /** Of the allowed kinds. */
  readonly allowed: boolean;
}

const requester = (
  name: string,
  allowed: boolean,
  { publicKey, privateKey }: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
): Requester => ({ name, allowed, publicKey: spkiOf(publicKey), privateKey });

/** One key of each kind: making them is what takes long. */
export const requesters: readonly Requester[] = [
  requester("P-256", true, generateKeyPairSync("ec", { namedCurve: "P-256" })),
  requester("P-384", true, generateKeyPairSync("ec", { namedCurve: "P-384" })),
  requester("RSA 2048", true, generateKeyPairSync("rsa", { modulusLength: 2048 })),
  requester("RSA 1024", false, generateKeyPairSync("rsa", { modulusLength: 1024 })),
  requester("P-224", false, generateKeyPairSync("ec", { namedCurve: "P-224" })),
  requester("P-521", false, generateKeyPairSync("ec", { namedCurve: "P-521" })),
  requester("Ed25519", false, generateKeyPairSync("ed25519")),
];

const ALGORITHMS: readonly (readonly [string, string | undefined, string | undefined])[] = [
  ["1.2.840.10045.4.3.2", "sha256", "ec"],
  ["1.2.840.10045.4.3.3", "sha384", "ec"],
  ["1.2.840.10045.4.3.4", "sha512", "ec"],
  ["1.2.840.113549.1.1.11", "sha256", "rsa"],
  ["1.2.840.113549.1.1.12", "sha384", "rsa"],
  ["1.2.840.113549.1.1.5", "sha1", "rsa"],
  ["1.2.840.10045.4.1", "sha1", "ec"],
  ["1.3.101.112", undefined, "ed25519"],
];

export interface SignedRequest {
  readonly der: Buffer;
  readonly publicKey: Buffer;
  /** True if it is one that should be taken. */
  readonly good: boolean;
}

/** A request as its parts say, signed as it then is: no damage hides behind a signature that does not verify. */
export function signedRequest(
  { publicKey, privateKey, allowed }: Requester,
  [algorithm, digest, kind]: (typeof ALGORITHMS)[number],
  { version = 0, subject = [] as readonly string[], attributes = [] as readonly Buffer[], more = Buffer.alloc(0) } = {},
): SignedRequest {
  const info = sequence(
    integer(Buffer.of(version)),
    sequence(...subject.map((text) => der(TAG.set, sequence(oid("2.5.4.3"), der(TAG.utf8String, Buffer.from(text)))))),
    publicKey,
    der(contextTag(0, true), ...attributes),
    more,
  );
  const parameters = kind === "rsa" ? [Buffer.of(5, 0)] : [];
  const signature = sign(kind === "ed25519" ? undefined : digest, info, privateKey);
  const whole = sequence(info, sequence(oid(algorithm), ...parameters), bitString(signature));
  const matches = kind === privateKey.asymmetricKeyType && digest !== "sha1" && digest !== undefined;
  return { der: whole, publicKey, good: allowed && matches && more.length === 0 };
}

/** A requested extension, as an attribute: whatever it asks for. */
function extensionRequest([id, value]: readonly [string, Uint8Array]): Buffer {
  const extensions = sequence(sequence(oid(id), der(TAG.octetString, value)));
  return sequence(oid("1.2.840.113549.1.9.14"), der(TAG.set, extensions));
}

/** Requests of any key, algorithm, subject and wishes, each signed as it is. */
export const anyRequest: fc.Arbitrary<SignedRequest> = fc
  .record({
    who: fc.constantFrom(...requesters),
    algorithm: fc.constantFrom(...ALGORITHMS),
    subject: fc.array(fc.string({ maxLength: 20 }), { maxLength: 2 }),
    wishes: fc.array(
      fc.tuple(
        fc.constantFrom("2.5.29.17", "2.5.29.19", "2.5.29.15", "1.2.3.4"),
        fc.constantFrom(
          sequence(Buffer.of(1, 1, 0xff)),
          sequence(der(0x86, Buffer.from("spiffe://cluster.local/ns/kube-system/sa/admin"))),
          sequence(der(0x82, Buffer.from("*.example.com"))),
        ),
      ),
      { maxLength: 2 },
    ),
    more: fc.oneof(
      { weight: 9, arbitrary: fc.constant(Buffer.alloc(0)) },
      { weight: 1, arbitrary: fc.constant(Buffer.of(5, 0)) },
    ),
  })
  // What a key cannot sign is no request.
  .filter(({ who, algorithm: [, , kind] }) => (kind === "ed25519") === (who.name === "Ed25519"))
  .map(({ who, algorithm, subject, wishes, more }) =>
    signedRequest(who, algorithm, { subject, attributes: wishes.map(extensionRequest), more }),
  );

/** A value of the tree of a request, and where it lies. */
interface Node {
  readonly start: number;
  readonly end: number;
  readonly contentStart: number;
}

function nodesOf(bytes: Buffer, base = 0): readonly Node[] {
  const reader = new DerReader(bytes);
  const found: Node[] = [];
  while (!reader.atEnd) {
    const { tag, content, whole } = reader.next();
    const start = base + whole.byteOffset - bytes.byteOffset;
    const contentStart = base + content.byteOffset - bytes.byteOffset;
    found.push({ start, end: start + whole.length, contentStart });
    if ((tag & 0x20) !== 0) found.push(...nodesOf(Buffer.from(content), contentStart));
  }
  return found;
}

type Surgery = (bytes: Buffer, node: Node, other: Node) => readonly Uint8Array[];
/** What can be done to the structure, each leaving all lengths above as they were, or wrong. */
const surgeries: readonly Surgery[] = [
  (bytes, { start, end }) => [bytes.subarray(0, start), bytes.subarray(end)],
  (bytes, { start, end }) => [bytes.subarray(0, end), bytes.subarray(start, end), bytes.subarray(end)],
  (bytes, { start, end }, other) => [
    bytes.subarray(0, start),
    bytes.subarray(other.start, other.end),
    bytes.subarray(end),
  ],
  // An indefinite length, and its end.
  (bytes, { start, contentStart, end }) => [
    bytes.subarray(0, start + 1),
    Buffer.of(0x80),
    bytes.subarray(contentStart, end),
    Buffer.of(0, 0),
    bytes.subarray(end),
  ],
  // A length in a byte more than it needs.
  (bytes, { start, contentStart, end }) => [
    bytes.subarray(0, start + 1),
    Buffer.of(0x84, ...[24, 16, 8, 0].map((shift) => ((end - contentStart) >>> shift) & 0xff)),
    bytes.subarray(contentStart),
  ],
  // A length beyond everything.
  (bytes, { start, contentStart }) => [
    bytes.subarray(0, start + 1),
    Buffer.of(0x84, 0x7f, 0xff, 0xff, 0xff),
    bytes.subarray(contentStart),
  ],
  (bytes, { start }) => [bytes.subarray(0, start), Buffer.of(bytes[start]! ^ 0x20), bytes.subarray(start + 1)],
  (bytes, { contentStart, end }) => [
    bytes.subarray(0, contentStart),
    Buffer.alloc(end - contentStart),
    bytes.subarray(end),
  ],
];

/** The outermost length made right again, so that the damage inside is reached. */
function rewrapped(bytes: Buffer): Buffer {
  const head = bytes[1]! < 0x80 ? 2 : 2 + (bytes[1]! & 0x7f);
  return der(TAG.sequence, bytes.subarray(head));
}

/** The tree of a good request, taken apart and put together otherwise. */
export const damagedTree: fc.Arbitrary<Buffer> = fc
  .record({
    who: fc.constantFrom(...requesters.slice(0, 3)),
    surgery: fc.constantFrom(...surgeries),
    at: fc.nat(),
    other: fc.nat(),
    rewrap: fc.boolean(),
  })
  .map(({ who, surgery, at, other, rewrap }) => {
    const kind = who.name.startsWith("RSA") ? ALGORITHMS[3]! : ALGORITHMS[0]!;
    const { der: bytes } = signedRequest(who, kind, { subject: ["shop"] });
    const nodes = nodesOf(bytes);
    const changed = Buffer.concat(surgery(bytes, nodes[at % nodes.length]!, nodes[other % nodes.length]!));
    return rewrap && changed.length > 8 ? rewrapped(changed) : changed;
  });

/** The text of a good request with one thing changed. */
export const damagedPem: fc.Arbitrary<string> = fc
  .record({
    at: fc.nat(),
    what: fc.constantFrom("drop", "double", "change", "insert", "windows", "pad"),
    with: fc.string({ minLength: 1, maxLength: 2 }),
  })
  .map(({ at, what, with: text }) => {
    const pem = toPem(LABEL, signedRequest(requesters[0]!, ALGORITHMS[0]!).der);
    if (what === "windows") return pem.replaceAll("\n", "\r\n");
    if (what === "pad") return pem + " ".repeat(at % 3) + "\n".repeat(at % 5);
    const where = at % pem.length;
    const [head, here, tail] = [pem.slice(0, where), pem.slice(where, where + 1), pem.slice(where + 1)];
    const middle = { drop: "", double: here + here, change: text, insert: text + here }[what] ?? "";
    return head + middle + tail;
  });

export const pemOf = (bytes: Uint8Array): string => toPem(LABEL, bytes);
