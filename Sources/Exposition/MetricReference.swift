/// The metric reference, made of the declarations that make the metrics.
public enum MetricReference {
  /// Every family, in the order of a scrape.
  public static var families: [FamilyDeclaration] { subjects.flatMap(\.families) }

  private static var subjects: [(title: String, families: [FamilyDeclaration])] {
    [
      ("Migrations", MigrationFamilies.all.map(\.declaration)),
      ("Totals over all migrations", FleetFamilies.totals.map(\.declaration)),
      ("VMs", FleetFamilies.vms.map(\.declaration)),
      (
        "Nodes",
        (FleetFamilies.nodes + FleetFamilies.drains + FleetFamilies.slots).map(\.declaration)
      ),
      ("Back ends", FleetFamilies.backends.map(\.declaration)),
      ("Control", (FleetFamilies.control + FleetFamilies.journal).map(\.declaration)),
      ("Exporter", FleetFamilies.exporter.map(\.declaration)),
      ("Process", FleetFamilies.process.map(\.declaration)),
    ]
  }

  /// The reference as Markdown: what `docs/metrics.md` holds.
  public static var markdown: String {
    var text = """
      # Metrics

      Generated from the declarations; a test compares this file with them (`DROVER_REGENERATE=1 swift test --filter ExpositionTests` rewrites it).

      A series is absent, never 0, where its value is not known. A series has one of the labels `namespace` and `host`, never both;
      a label with an empty value is left out. Moments are Unix seconds. Info families are gauges that are always 1 in the text format 0.0.4;
      state sets are gauges in both formats, with one series for each state. The column *part* is what `?collect[]=` takes. A migration that is over
      keeps the families marked so until it is forgotten (`retention`), and loses the others at once. With KubeVirt
      `drover_migration_info` also carries the VM's labels that `metrics.vmLabels` lists: `app.kubernetes.io/name` as
      `label_app_kubernetes_io_name`.

      """
    for (title, families) in subjects {
      text += """

        ## \(title)

        | Family | What it says | Type | Labels | Part | Filled by |
        | --- | --- | --- | --- | --- | --- |

        """
      for family in families { text += row(family) + "\n" }
    }
    return text
  }

  private static func row(_ family: FamilyDeclaration) -> String {
    let unit = family.unit.map { ", \($0.rawValue.replacing("_", with: " "))" } ?? ""
    let help = family.help + (family.staysAfterEnd ? " *Stays after the end.*" : "")
    let labels = family.labels.map { "`\($0)`" }.joined(separator: " ")
    let fillers =
      family.filledBy.isEmpty ? "none yet" : family.filledBy.map(\.description).joined(separator: ", ")
    let cells = [
      "`\(family.name)`", help, family.kind.rawValue + unit, labels, family.part.rawValue, fillers,
    ]
    return "| " + cells.joined(separator: " | ") + " |"
  }
}
