/// The page's style sheet and the hash that its content security policy names it by.
enum StyleSheet {
  /// SHA-256 of `text`, in base64; changes with every character of it.
  static let hash = "sha256-r4PNZy+biQm/+N6jbW1lQ/DKWXris4OzeYWia2xSBNo="

  static var html: HTML { HTML(stringLiteral: text) }

  static let text = """
    :root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#d9dde3;--fg:#1c2128;--dim:#59626f;--link:#0b57c2;\
    --good:#1a6e33;--warn:#8a5200;--bad:#b3191f;--track:#e3e7ec;--bar:#4a7ab5}
    @media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2126;--line:#343a43;--fg:#e3e7ec;--dim:#9aa5b3;\
    --link:#82b1ff;--good:#6fcf87;--warn:#eeb256;--bad:#ff8580;--track:#343a43;--bar:#6c9bd6}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,sans-serif;\
    font-variant-numeric:tabular-nums}
    header,main{max-width:75rem;margin:0 auto;padding:0 1rem}
    header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem 1.5rem;padding-top:.8rem}
    h1{font-size:1.3rem;margin:0}
    small,.dim{color:var(--dim);font-weight:400}
    nav{margin-left:auto;display:flex;flex-wrap:wrap;gap:.2rem 1rem}
    a{color:var(--link)}
    p{margin:.15rem 0}
    h2{font-size:.8rem;letter-spacing:.05em;text-transform:uppercase;color:var(--dim);margin:1.1rem 0 .35rem}
    h3{font-size:1rem;margin:0;overflow-wrap:anywhere}
    ul{list-style:none;margin:0;padding:0}
    li{margin:.2rem 0;overflow-wrap:anywhere}
    article,.empty{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--line);\
    border-radius:4px;padding:.55rem .8rem;margin:0 0 .5rem}
    article.good{border-left-color:var(--good)}
    article.warn{border-left-color:var(--warn)}
    article.bad{border-left-color:var(--bad)}
    article.over{padding:.3rem .8rem;margin-bottom:.3rem}
    article.over .id,article.over .facts{display:inline;margin-right:1em}
    .tag{display:inline-block;font-size:.8rem;font-weight:600;line-height:1.3;padding:0 .45em;border:1px solid;\
    border-radius:3px;color:var(--dim);margin-left:.3em}
    li .tag{margin:0 .3em 0 0}
    .good.tag{color:var(--good)}
    .warn.tag{color:var(--warn)}
    .bad.tag,span.bad,strong.bad,.alarm{color:var(--bad)}
    .alarm{font-weight:700}
    .where,.why,.id,.facts{overflow-wrap:anywhere}
    .why{font-weight:500}
    .id,.facts{font-size:.85rem;color:var(--dim)}
    .id{font-family:ui-monospace,monospace}
    .facts span{margin-right:1em;display:inline-block}
    .facts b{color:var(--fg);font-weight:500}
    dl{margin:.35rem 0}
    dl div{display:grid;grid-template-columns:9.5rem 1fr;gap:.6rem}
    dt{color:var(--dim)}
    dd{margin:0;display:grid;grid-template-columns:minmax(6rem,16rem) 4.2rem 1fr;gap:.6rem;align-items:center}
    dd b{text-align:right}
    dd>:first-child:not(progress){grid-column:1/3}
    progress{appearance:none;width:100%;height:.6rem;border:0;border-radius:2px;background:var(--track);\
    color:var(--bar)}
    progress::-webkit-progress-bar{background:var(--track);border-radius:2px}
    progress::-webkit-progress-value{background:var(--bar);border-radius:2px}
    progress::-moz-progress-bar{background:var(--bar);border-radius:2px}
    progress.warn::-webkit-progress-value{background:var(--warn)}
    progress.warn::-moz-progress-bar{background:var(--warn)}
    progress.bad::-webkit-progress-value{background:var(--bad)}
    progress.bad::-moz-progress-bar{background:var(--bad)}
    pre{background:var(--bg);border:1px solid var(--line);padding:.5rem .7rem;overflow-x:auto}
    @media(max-width:45rem){nav{margin-left:0}dl div{grid-template-columns:1fr;gap:0;margin:.3rem 0}\
    dd{grid-template-columns:1fr 4.2rem;gap:0 .6rem}dd span{grid-column:1/3}}
    """
}
