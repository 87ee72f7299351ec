import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { messageOf } from "../errors.ts";
import type { Material } from "./connection.ts";
import type { Section } from "./kubeconfig-file.ts";

/** `<field>-data` in base64, or the file that `<field>` names; the data counts if both are there, as for kubectl. */
export function materialIn(section: Section, field: string): Material | undefined {
  const data = section.text(`${field}-data`);
  if (data === undefined) {
    const file = section.path(field);
    return file === undefined ? undefined : { file };
  }
  const packed = data.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) throw section.refusal(`${field}-data`, "is not base64");
  return { text: Buffer.from(packed, "base64").toString("utf8") };
}

/** Certificates are looked at here, as Node ignores those that it cannot read. */
export function certificatesIn(section: Section, field: string): Material | undefined {
  const material = materialIn(section, field);
  if (material === undefined || "file" in material) return material;
  const wrong = whyNotCertificates(material.text);
  if (wrong !== undefined) throw section.refusal(`${field}-data`, wrong);
  return material;
}

/** A certificate and its key; undefined if there is neither. */
export function certificateAndKeyIn(
  section: Section,
): { readonly certificate: Material; readonly key: Material } | undefined {
  const certificate = certificatesIn(section, "client-certificate");
  const key = materialIn(section, "client-key");
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined) throw section.refusal("client-certificate-data", "is missing, while there is a key");
  if (key === undefined) throw section.refusal("client-key-data", "is missing, while there is a certificate");
  if ("text" in certificate && "text" in key) {
    const wrong = whyNotPair(certificate.text, key.text);
    if (wrong !== undefined) throw section.refusal("client-key-data", wrong);
  }
  return { certificate, key };
}

/** Undefined if `pem` holds certificates, and every one can be read. */
export function whyNotCertificates(pem: string): string | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return "holds no certificate in PEM";
  for (const [at, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch (thrown) {
      return `holds certificates in PEM, of which number ${at + 1} cannot be read: ${messageOf(thrown)}`;
    }
  }
  return undefined;
}

function whyNotPair(cert: string, key: string): string | undefined {
  try {
    createSecureContext({ cert, key });
    return undefined;
  } catch (thrown) {
    return `is not the key of client-certificate-data: ${messageOf(thrown)}`;
  }
}
