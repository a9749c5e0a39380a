public import DroverCore
public import Exposition

/// The page at `/`: every running and lately ended migration, readable without scripts.
public enum StatusPage {
  /// Migrations that are drawn at most.
  public static let mostDrawn = 200

  /// What is sent with the page, besides its length.
  ///
  /// Nothing may be loaded and no script run; the one style sheet is named by its hash.
  public static let headers: [(name: String, value: String)] = [
    ("Content-Type", "text/html; charset=utf-8"),
    (
      "Content-Security-Policy",
      "default-src 'none'; style-src '\(StyleSheet.hash)'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
  ]

  /// Draws the page.
  ///
  /// - Parameters:
  ///   - telemetryPath: Where the metrics are.
  ///   - refreshes: Whether the page loads itself anew every two seconds; `/?refresh=off` asks for one that stands still.
  public static func render(
    snapshot: FleetSnapshot, epochOffset: EpochOffset, now: Moment, build: BuildInfo,
    telemetryPath: String = "/metrics", refreshes: Bool = true
  ) -> [UInt8] {
    let selection = Selection(snapshot, now: now)
    let documented = snapshot.documentedBudgets
    func item(_ view: MigrationView) -> MigrationItem {
      MigrationItem(
        view, epochOffset: epochOffset, now: now, documented: documented[view.identity.vm.backend])
    }
    let running = selection.running.map(item)
    let ended = selection.ended.map(item)
    let page: HTML = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <meta name="color-scheme" content="light dark"/>
      \(refreshes ? "<meta http-equiv=\"refresh\" content=\"2\"/>\n" as HTML : "")\
      <title>\(title(selection))</title>
      <style>\(StyleSheet.html)</style>
      </head>
      <body>
      <header>
      <h1>Drover <small>\(build.version)</small></h1>
      <p class="sum">\(summary(selection)) · <time>\(Timestamp(now, epochOffset).time) UTC</time></p>
      <nav aria-label="More">\(links(telemetryPath, refreshes))</nav>
      </header>
      <main>
      \(backends(snapshot.backends, now))
      \(runningSection(running, selection, isWatching: !snapshot.backends.isEmpty))
      \(endedSection(ended, selection))
      </main>
      </body>
      </html>

      """
    return Array(page.text.utf8)
  }

  private static func title(_ selection: Selection) -> String {
    let trouble = selection.troubled > 0 ? "(\(selection.troubled)!) " : ""
    return "\(trouble)\(selection.runningCount - selection.waitingCount) running - Drover"
  }

  private static func summary(_ selection: Selection) -> HTML {
    let trouble: HTML =
      selection.troubled > 0 ? " · <strong class=\"bad\">\(selection.troubled) in trouble</strong>" : ""
    let waiting: HTML = selection.waitingCount > 0 ? " · <b>\(selection.waitingCount)</b> waiting" : ""
    let running = selection.runningCount - selection.waitingCount
    return "<b>\(running)</b> running\(waiting)\(trouble) · <b>\(selection.endedCount)</b> ended lately"
  }

  /// Relative, so that the page works behind a path prefix.
  private static func links(_ telemetryPath: String, _ refreshes: Bool) -> HTML {
    let metrics = String(telemetryPath.drop { $0 == "/" })
    let refresh: HTML =
      refreshes
      ? "<a href=\"?refresh=off\">Pause</a>" : "<a href=\"./\">Refresh by itself</a>"
    return """
      <a href="./\(metrics)">Metrics</a> <a href="./api/v1/migrations">API</a> <a href="./-/healthy">Health</a> \
      <a href="./-/ready">Ready</a> \(refresh)
      """
  }

  private static func backends(_ backends: [BackendView], _ now: Moment) -> HTML {
    guard !backends.isEmpty else { return "" }
    let rows = backends.map { backend -> HTML in
      let state: HTML =
        if !backend.hasAttempted {
          "<span class=\"tag\">not asked yet</span>"
        } else if backend.isUp {
          "<span class=\"tag good\">up</span>"
        } else {
          "<span class=\"tag bad\">down</span>"
        }
      let age = backend.lastSuccess.map { "answered \(Words.relative(-max(0, (now - $0).inSeconds)))" }
      let errors = backend.errors.reduce(0 as UInt64) { $0 &+ $1.count }
      let since = backend.downSince.map { "down for \(Words.duration(max(0, (now - $0).inSeconds)))" }
      let why = [since, backend.problem.map(printable)].compactMap(\.self).joined(separator: ": ")
      let trouble: HTML = why.isEmpty ? "" : "<br/><span class=\"bad\">\(why)</span>"
      return """
        <li>\(state) <b>\(backend.descriptor.name.rawValue)</b> \
        <span class="dim">\(backend.descriptor.type)\(backend.version.isEmpty ? "" : " \(backend.version)") · \
        <span class="endpoint">\(backend.descriptor.endpoint)</span> · \(age ?? "no answer yet")\
        \(errors > 0 ? " · \(errors) \(errors == 1 ? "error" : "errors")" : "")</span>\(trouble)</li>

        """
    }
    return "<section aria-labelledby=\"b\"><h2 id=\"b\">Back ends</h2>\n<ul>\n\(rows)</ul></section>"
  }

  private static func runningSection(_ items: [MigrationItem], _ selection: Selection, isWatching: Bool)
    -> HTML
  {
    let body: HTML =
      if !items.isEmpty {
        HTML.join(items.map(MigrationCard.running))
      } else if isWatching {
        "<p class=\"empty\">Nothing is migrating. A migration shows up here within a second of its start.</p>"
      } else {
        """
        <div class="empty"><p><b>No back end is configured, so there is nothing to watch.</b></p>
        <p>Name a guest's QMP socket when Drover is started:</p>
        <pre>drover serve --qemu.socket /run/guests/web.qmp</pre>
        <p>or a cluster's kubeconfig:</p>
        <pre>drover serve --kubevirt.kubeconfig ~/.kube/config</pre>
        <p>or in the file given by <code>--config.file</code>:</p>
        <pre>backends:
          - qemu: {name: rack1, sockets: ["/run/guests/*.qmp"]}</pre></div>
        """
      }
    return """
      <section aria-labelledby="r"><h2 id="r">Running</h2>
      \(body)\(leftOut(selection.runningCount - items.count))</section>
      """
  }

  private static func endedSection(_ items: [MigrationItem], _ selection: Selection) -> HTML {
    guard selection.endedCount > 0 else { return "" }
    return """
      <section aria-labelledby="e"><h2 id="e">Ended lately</h2>
      \(items.map(MigrationCard.ended))\(leftOut(selection.endedCount - items.count))</section>
      """
  }

  private static func leftOut(_ count: Int) -> HTML {
    guard count > 0 else { return "" }
    return
      "<p class=\"empty\">\(count) more are not drawn; <a href=\"./api/v1/migrations\">the API</a> lists all.</p>"
  }
}

/// Which migrations are drawn, the most urgent first.
private struct Selection {
  let running: [MigrationView]
  let ended: [MigrationView]
  let runningCount: Int
  /// Those of them that wait to begin.
  let waitingCount: Int
  let endedCount: Int
  let troubled: Int

  init(_ snapshot: FleetSnapshot, now: Moment) {
    var running: [(urgency: Urgency, view: MigrationView)] = []
    var ended: [(urgency: Urgency, view: MigrationView)] = []
    for view in snapshot.migrations {
      let urgency = Urgency(view, now: now)
      if view.isOver { ended.append((urgency, view)) } else { running.append((urgency, view)) }
    }
    runningCount = running.count
    waitingCount = running.count { $0.view.waiting != nil }
    endedCount = ended.count
    troubled = running.count { $0.urgency != .calm } + ended.count { $0.urgency != .calm }
    running.sort { a, b in
      guard a.urgency == b.urgency else { return a.urgency < b.urgency }
      return Self.order(a.view, b.view)
    }
    ended.sort { a, b in
      guard a.urgency == b.urgency else { return a.urgency < b.urgency }
      let (first, second) = (
        a.view.ending?.endedAt ?? a.view.startedAt, b.view.ending?.endedAt ?? b.view.startedAt
      )
      return first == second ? Self.order(a.view, b.view) : first > second
    }
    self.running = running.prefix(StatusPage.mostDrawn).map(\.view)
    self.ended = ended.prefix(StatusPage.mostDrawn - self.running.count).map(\.view)
  }

  private static func order(_ a: MigrationView, _ b: MigrationView) -> Bool {
    (a.startedAt, a.identity.id.description) < (b.startedAt, b.identity.id.description)
  }
}
