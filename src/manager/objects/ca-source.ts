import type { Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import type { SourceSpec, TrustObjectId } from "../policy.ts";
import { caSourceOf } from "./authority-source.ts";
import { supportedFieldsOf } from "./read-fields.ts";
import { trustObjectId } from "./trust-object-id.ts";

/** Where the certificates of intermediates come from, for a policy that refers to it. */
export interface CaSource {
  readonly id: TrustObjectId;
  readonly source: SourceSpec;
}

/** @throws FieldError */
export function readCaSource(metadata: Metadata, object: Fields): CaSource {
  const spec = supportedFieldsOf(object["spec"], "spec", ["secret", "certManager", "vault"], {
    generated: "a root that the manager makes belongs to the policy; write mgmtServerCa.generated there",
  });
  return { id: trustObjectId("CASource", metadata), source: caSourceOf(spec, "spec", metadata.namespace) };
}
