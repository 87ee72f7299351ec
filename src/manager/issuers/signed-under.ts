import { authorityName } from "../../ca/authority-request.ts";
import { type IntermediateIssuer, type Maker, signIntermediate } from "../../ca/intermediate.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import type { IntermediateOrder } from "../issuer.ts";

/** What an authority whose key we hold signs for an order. @throws MeshError as `signIntermediate`. */
export function signedUnder(maker: Maker, issuer: IntermediateIssuer, order: IntermediateOrder): SignedIntermediate {
  const { organization, commonName, ...shape } = order;
  const own = signIntermediate(maker, issuer, { ...shape, subject: authorityName(organization, commonName) });
  return { chain: [own, ...issuer.path.slice(0, -1)], root: issuer.path.at(-1)! };
}
