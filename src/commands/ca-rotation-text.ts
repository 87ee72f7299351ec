import type { RotationStep } from "../ca/rotation.ts";
import { type CommandCall, listOption, textOption } from "../command.ts";
import { printable } from "../printable.ts";
import type { Rotation } from "./ca-rotation.ts";

const DOES: Readonly<Record<RotationStep, string>> = {
  "add-root": "every cluster trusts the new root too; nobody signs with it yet",
  switch: "every cluster signs with a new key under the new root; both roots stay trusted",
  "remove-root": "no cluster trusts the old root any more",
};

/** What must have happened before the step after it. */
const thenOf = (step: RotationStep, leafTtl: string): string =>
  step === "remove-root"
    ? "install the folders in their clusters; then the old root can be destroyed"
    : `install the folders in every cluster, see both roots in ConfigMap istio-ca-root-cert, then wait ${leafTtl}: workloads learn roots with their next certificate`;

/** What is left to do after a step. */
export const stepText = (step: RotationStep, leafTtl: string): string => `${thenOf(step, leafTtl)}\n`;

/** The steps as a person follows them. */
export function planText({ from, to, stages, plan, leafTtl }: Rotation, { options }: CommandCall): string {
  const folders = stages.map(({ folder }) => ` --dir ${folder}`);
  const gone = listOption(options, "without").map((cluster) => ` --without ${cluster}`);
  const ttl = textOption(options, "leafTtl") === undefined ? "" : ` --leaf-ttl ${leafTtl}`;
  const command = `causeway ca rotate --root ${from.folder} --to ${to.folder}${[...folders, ...gone].join("")}${ttl} --step`;
  const lines = [
    `from ${from.folder} to ${to.folder}`,
    ...stages.map((one) => {
      const trusted = [...(one.trustsOld ? [from.folder] : []), ...(one.trustsNew ? [to.folder] : [])];
      return `  ${one.folder} signs under ${one.signedBy === "old" ? from.folder : to.folder}, trusts ${trusted.join(" and ")}`;
    }),
    ...plan.flatMap(({ step, state, from: begins }, at) => [
      `${at + 1}. ${step}: ${state}${begins === undefined ? "" : ` until ${new Date(begins).toISOString()}`}`,
      `   ${DOES[step]}`,
      ...(state === "done" ? [] : [`   ${command} ${step}`, `   then ${thenOf(step, leafTtl)}`]),
    ]),
    "stock istiod follows changed roots only with ISTIO_MULTIROOT_MESH=true",
  ];
  return lines.map((line) => `${printable(line, 2000)}\n`).join("");
}
