import { hash, type KeyObject } from "node:crypto";
import { signatureOf } from "../ca/certificate.ts";
import { type CertificateFields, EXTENSION, readCertificate } from "../ca/certificate-fields.ts";
import { contextTag, der, sequence, TAG } from "../ca/der.ts";
import type { LintContext } from "../ca/lint.ts";
import { readWhole, same } from "../ca/lint-rules.ts";
import { type OpenedCertificate, openedCertificate, pathTo } from "../ca/path.ts";
import { Revocations } from "../ca/revocations.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";

/** More than servers that sign at once, and their next authorities. */
const KNOWN_MAX = 16;

/** An authority that SPIRE has signed with. */
export interface IssuingCa {
  readonly lint: Omit<LintContext, "request" | "now" | "trustDomain"> & { readonly issuerKey: KeyObject };
  /** What is sent after its leaves, in DER: itself and those above it, but no root. */
  readonly between: readonly Uint8Array[];
  readonly notAfter: EpochMs;
  /** Verified with a leaf of its own. */
  proven: boolean;
}

/**
 * The authorities that SPIRE signs with, as its answers name them. What SPIRE issues is not believed by its word: nothing
 * of an authority is used before a leaf of it has led to a root of SPIRE's bundle (contract identity.md 1.3).
 */
export class IssuingCas {
  #roots: readonly OpenedCertificate[] = [];
  /** By the digest of what came after a leaf; the one that was used last is the last. */
  readonly #known = new Map<string, IssuingCa>();

  /** The one that signed last; undefined until one has under these roots. */
  get last(): IssuingCa | undefined {
    return [...this.#known.values()].findLast(({ proven }) => proven);
  }

  /** What verifies from now on; who was proven under other roots has to be again. */
  trust(roots: readonly Uint8Array[]): void {
    const known =
      this.#roots.length === roots.length && this.#roots.every(({ x509 }, at) => same(x509.raw, roots[at]!));
    if (known) return;
    this.#roots = roots.map(openedCertificate);
    this.#known.clear();
  }

  /** Who signed the first of a chain. @throws MeshError `internal` for one that cannot be read, or has no issuer. */
  of(chain: readonly Uint8Array[]): IssuingCa {
    try {
      const [leaf, ...above] = chain;
      if (leaf === undefined) throw new MeshError("internal", "it is empty");
      const issuer = above[0] ?? this.#rootOf(readCertificate(leaf));
      const digest = hash("sha256", Buffer.concat(above.length > 0 ? above : [issuer]), "hex");
      const found = this.#known.get(digest) ?? this.#read(issuer, above);
      this.#known.delete(digest);
      this.#known.set(digest, found);
      for (const oldest of this.#known.keys()) if (this.#known.size > KNOWN_MAX) this.#known.delete(oldest);
      return found;
    } catch (thrown) {
      throw new MeshError("internal", `SPIRE's chain cannot be used: ${messageOf(thrown)}`, {}, { cause: thrown });
    }
  }

  /** Verifies a way from a leaf to a root, unless one is known. @throws MeshError `internal` */
  prove(issuer: IssuingCa, chain: readonly Uint8Array[], now: EpochMs): void {
    if (issuer.proven) return;
    for (const role of ["server", "client"] as const) {
      const check = { role, now, revocations: NONE };
      const { why } = pathTo(this.#roots, chain.map(openedCertificate), check);
      if (why !== undefined)
        throw new MeshError(
          "internal",
          `a certificate of SPIRE's was not let out: by the roots of its own bundle no ${role} could show it: ${why}`,
        );
    }
    issuer.proven = true;
  }

  #read(issuer: Uint8Array, above: readonly Uint8Array[]): IssuingCa {
    const { fields, x509 } = openedCertificate(issuer);
    const ends = above.map((bytes) => readCertificate(bytes).notAfter);
    return {
      lint: {
        issuer: fields.subject,
        issuerKeyId: keyIdOf(fields),
        issuerNotAfter: Math.min(fields.notAfter, ...ends),
        signature: signatureOf(x509.publicKey),
        issuerKey: x509.publicKey,
      },
      between: above.filter((bytes) => !this.#roots.some((root) => isRoot(root, bytes))),
      notAfter: fields.notAfter,
      proven: false,
    };
  }

  /** An authority that is a root of the bundle itself is not sent. */
  #rootOf({ issuer, extensions }: CertificateFields): Uint8Array {
    const named = extensions.get(EXTENSION.authorityKeyId)?.value ?? Buffer.of();
    const found = this.#roots.find(
      ({ fields }) => same(fields.subject, issuer) && same(named, sequence(der(contextTag(0, false), keyIdOf(fields)))),
    );
    if (found === undefined) throw new MeshError("internal", "no root of SPIRE's bundle is its issuer");
    return found.x509.raw;
  }
}

/** SPIRE has no lists: entries are removed, and lives are short. */
const NONE = new Revocations();

function keyIdOf({ extensions }: CertificateFields): Uint8Array {
  const extension = extensions.get(EXTENSION.subjectKeyId);
  if (extension === undefined) throw new MeshError("internal", "its issuer does not name its own key");
  return readWhole(extension.value, TAG.octetString);
}

/** One that signed itself; an intermediate that is in the bundle besides is sent, for those who trust its root alone. */
const isRoot = ({ x509, fields }: OpenedCertificate, bytes: Uint8Array): boolean =>
  same(x509.raw, bytes) && same(fields.issuer, fields.subject);
