import { createPrivateKey, type KeyObject } from "node:crypto";
import { openCertificate } from "../../ca/cacerts.ts";
import { readCertificate } from "../../ca/certificate-fields.ts";
import { fingerprintOf } from "../../ca/issued-list.ts";
import { MeshError, messageOf } from "../../errors.ts";
import type { EpochMs } from "../../host.ts";
import { onlyPemBlock, toPem } from "../../pem.ts";
import type { Fingerprint } from "../../relay/messages.ts";

/** A root that we made. */
export interface KeptRoot {
  /** In DER. */
  readonly certificate: Uint8Array;
  readonly sha256: Fingerprint;
  readonly privateKey: KeyObject;
  /** The value of the policy's annotation for which it was made; empty if there was none. */
  readonly rotateRoot: string;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
}

export function keptRoot(certificate: Uint8Array, privateKey: KeyObject, rotateRoot: string): KeptRoot {
  const { notBefore, notAfter } = readCertificate(certificate);
  return { certificate, sha256: fingerprintOf(certificate), privateKey, rotateRoot, notBefore, notAfter };
}

/** Of the one that signs, as `causeway ca init` names the files, and of those that signed before: `former-1-…`. */
const prefixOf = (at: number): string => (at === 0 ? "" : `former-${at}-`);
const CERTIFICATE = "root-cert.pem";
const KEY = "root-key.pem";
const ROTATE = "rotate-root";

/** The one that signs first. */
export function toDocument(roots: readonly KeptRoot[]): ReadonlyMap<string, string> {
  return new Map(
    roots.flatMap(({ certificate, privateKey, rotateRoot }, at): [string, string][] => [
      [`${prefixOf(at)}${CERTIFICATE}`, toPem("CERTIFICATE", certificate)],
      [`${prefixOf(at)}${KEY}`, privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
      [`${prefixOf(at)}${ROTATE}`, rotateRoot],
    ]),
  );
}

/** @param title of the document, for messages. @throws MeshError `invalid`, naming the key and what to do. */
export function parseKeptRoots(title: string, data: ReadonlyMap<string, string>): readonly KeptRoot[] {
  const roots: KeptRoot[] = [];
  for (let at = 0; at === 0 || data.has(`${prefixOf(at)}${CERTIFICATE}`); at += 1)
    roots.push(parseRoot(title, data, prefixOf(at)));
  return roots;
}

function parseRoot(title: string, data: ReadonlyMap<string, string>, prefix: string): KeptRoot {
  const textOf = (key: string): string => {
    const text = data.get(`${prefix}${key}`);
    if (text !== undefined) return text;
    throw refusal(title, `${prefix}${key}`, "it is not there");
  };
  const read = <T>(key: string, parse: (text: string) => T): T => {
    try {
      return parse(textOf(key));
    } catch (thrown) {
      throw thrown instanceof MeshError && thrown.detail["title"] === title
        ? thrown
        : refusal(title, `${prefix}${key}`, messageOf(thrown));
    }
  };
  const certificate = read(CERTIFICATE, (text) => openCertificate(onlyPemBlock(text, "CERTIFICATE")));
  const privateKey = read(KEY, (text) => createPrivateKey(text));
  if (!certificate.checkPrivateKey(privateKey))
    throw refusal(title, `${prefix}${KEY}`, `it is not the key of ${prefix}${CERTIFICATE}`);
  return keptRoot(certificate.raw, privateKey, data.get(`${prefix}${ROTATE}`) ?? "");
}

function refusal(title: string, key: string, why: string): MeshError {
  const fix =
    "restore it from a backup; if there is none, remove it, and a new root is made, which every cluster has to learn";
  return new MeshError("invalid", `${title}, ${key}: ${why}; ${fix}`, { title });
}
