import { authorityOf, ISTIO } from "../../src/ca/cacerts.ts";
import { type Files, writeNewFiles } from "../../src/ca/folder-files.ts";
import { KEY_TYPES } from "../../src/ca/key-type.ts";
import { intermediateName, newIntermediate, newRoot, USUAL_LIFETIME_MS } from "../../src/ca/new-authority.ts";
import { readRoot, type Root } from "../../src/ca/root-folder.ts";
import {
  type ServingCertificateMaterial,
  ServingCertificates,
  servingNames,
} from "../../src/ca/serving-certificate.ts";
import { toPem } from "../../src/pem.ts";
import { controlPlaneId } from "../../src/spiffe.ts";
import { quietHost } from "../quiet-host.ts";

export const TRUST_DOMAIN = "cluster.local";
export const SYSTEM_NAMESPACE = "istio-system";

/** One root for all clusters of a bench. */
export class BenchRoot {
  readonly #host = quietHost();
  readonly #root: Root;

  private constructor(root: Root) {
    this.#root = root;
  }

  /** @param folder where it is written; new. */
  static async make(folder: string): Promise<BenchRoot> {
    const shape = { trustDomain: TRUST_DOMAIN, keyType: KEY_TYPES[0], lifetimeMs: USUAL_LIFETIME_MS };
    const host = quietHost();
    await writeNewFiles(folder, await newRoot(host, shape));
    return new BenchRoot(await readRoot(folder, host.clock.now()));
  }

  get pem(): string {
    return toPem("CERTIFICATE", this.#root.certificate);
  }

  /** What `--cacerts` reads. */
  async writeAuthority(folder: string, cluster: string): Promise<void> {
    await writeNewFiles(folder, await this.#authority(cluster));
  }

  /** What a control plane of another cluster shows, as server and as client. */
  async controlPlane(cluster: string): Promise<ServingCertificateMaterial> {
    const files = { folder: cluster, layout: ISTIO, text: await this.#authority(cluster), digest: "" };
    const authority = authorityOf(files, TRUST_DOMAIN, this.#host.clock.now());
    const names = servingNames(SYSTEM_NAMESPACE, "default", "cluster.local");
    const serving = new ServingCertificates(
      this.#host,
      authority,
      names,
      controlPlaneId(TRUST_DOMAIN, SYSTEM_NAMESPACE),
    );
    const material = serving.start(() => {});
    serving.close();
    return material;
  }

  #authority(cluster: string): Promise<Files> {
    const subject = intermediateName(TRUST_DOMAIN, cluster);
    const shape = { trustDomain: TRUST_DOMAIN, keyType: KEY_TYPES[0], lifetimeMs: USUAL_LIFETIME_MS };
    return newIntermediate(this.#host, this.#root, { ...shape, subject, pathLength: 0 });
  }
}
