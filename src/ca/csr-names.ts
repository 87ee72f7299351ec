import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import { alternativeNames, EXTENSION, type Extension, NAME_TAG, readExtensions } from "./certificate-fields.ts";
import { type Csr, EXTENSION_REQUEST } from "./csr.ts";
import { der, type DerValue, oid, oidText, sequence, TAG } from "./der.ts";

const PRINTABLE_STRING = 0x13;
/** `O=`, as Istio's agent writes it for sidecars. */
const EMPTY_ORGANIZATIONS = [TAG.utf8String, PRINTABLE_STRING].map((tag) =>
  sequence(der(TAG.set, sequence(oid("2.5.4.10"), der(tag)))),
);
const NO_SUBJECTS: readonly Buffer[] = [sequence(), ...EMPTY_ORGANIZATIONS];

/**
 * For a signer that writes into certificates what requests say, as SPIRE does (contract identity.md 1.4): nothing may be
 * in one but the identity that its caller was given.
 * @throws MeshError `invalid`, naming what else it asks for.
 */
export function requireOnlyName({ subject, attributes }: Csr, uri: string): void {
  if (!NO_SUBJECTS.some((empty) => empty.equals(subject))) throw refusal("has a subject", uri);
  const refuse = (why: string): MeshError => refusal(why, uri);
  const extensions = attributes === undefined ? new Map<string, Extension>() : extensionsAsked(attributes, refuse);
  for (const id of extensions.keys())
    if (id !== EXTENSION.subjectAltName) throw refusal(`asks for the extension ${id}`, uri);
  const [name, ...more] = alternativeNames({ extensions });
  if (name === undefined) throw refusal("has no name", uri);
  for (const one of [...more, name])
    if (nameText(one) !== `URI:${uri}`) throw refusal(`has the name ${nameText(one)}`, uri);
  if (more.length > 0) throw refusal("has its name twice", uri);
}

/** What the attributes of a request ask for: nothing but one extensionRequest may be there. @throws what `refuse` makes. */
export function extensionsAsked(
  attributes: DerValue,
  refuse: (why: string) => MeshError,
): ReadonlyMap<string, Extension> {
  const list = attributes.read();
  if (list.atEnd) return new Map();
  const attribute = list.enter(TAG.sequence);
  const id = oidText(attribute.next(TAG.oid).content);
  if (id !== EXTENSION_REQUEST) throw refuse(`has the attribute ${id}`);
  const values = attribute.enter(TAG.set);
  attribute.end();
  if (!list.atEnd) throw refuse("has several attributes");
  return readExtensions(values);
}

/** As `URI:spiffe://cluster.local`. */
export function nameText({ tag, content }: DerValue): string {
  const text = Buffer.from(content).toString("latin1");
  if (tag === NAME_TAG.uri) return `URI:${text}`;
  return tag === NAME_TAG.dns ? `DNS:${text}` : `of the kind ${tag & 0x1f}`;
}

const refusal = (why: string, uri: string): MeshError =>
  new MeshError("invalid", `it ${printable(why, 200)}, where URI:${uri} must be all that it asks for`);
