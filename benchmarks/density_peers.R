# Maximum likelihood of Gaussian mixtures of linear experts by R's packages, start by start.
#
#   Rscript density_peers.R versions
#   Rscript density_peers.R data PACKAGE ITEM OUT TARGET INPUT...
#   Rscript density_peers.R fit DATA OUT METHOD K STARTS SEED TOLERANCE LIMIT
#
# `data` writes complete rows of a data set that an installed package ships: y first, then x.
# `fit` reads such a file and writes one row per start. METHOD is
#   flexmix            FLXMRglm, gaussian, concomitant FLXPmultinom(~ x): softmax of affine scores
#   flexmix-constant   the same with weights that do not depend on x
#   hmeEM              mixtools, two experts, softmax weights, one input
#   regmixEM           mixtools, weights that do not depend on x, one variance per expert
# Start i runs after set.seed(SEED + i) from what the package draws by itself. TOLERANCE is that of
# flexmix (relative change of the log-likelihood); mixtools keeps its own 1e-8 (absolute), because
# it draws new starting values whenever rounding lowers the log-likelihood. Both stop after 5,000
# iterations. No start begins after LIMIT CPU seconds of fits; missing rows were not run.
#
# Three log-likelihoods per row, natural logarithm, in units of the data:
#   own        what the package says
#   loglik     recomputed here from the parameters that the package returns
#   polished   at the maximum that nlminb finds from these parameters with exact derivatives
# The last is needed. flexmix divides the residual sum of squares of an expert by (n - p) / n times
# its weight: the fixed point of its iterations is not the maximum. Its weights are refitted by nnet
# with a relative tolerance of 1e-8, and EM itself stops where it is slow.
#
# Seconds are CPU seconds of the package's fit alone; polishing is not in them.

ITERATIONS <- 5000
SMALLEST <- log(1e-3) # of log standard deviations while polishing, in units of sd(y)

main <- function(arguments) {
  switch(arguments[1],
    versions = versions(),
    data = write_data(arguments[-1]),
    fit = write_fits(arguments[-1]),
    stop("give versions, data or fit")
  )
}

versions <- function() {
  cat("R\t", R.version.string, "\n", sep = "")
  for (package in c("flexmix", "mixtools", "nnet")) {
    if (nzchar(system.file(package = package))) {
      cat(package, "\t", format(packageVersion(package)), "\n", sep = "")
    }
  }
}

write_data <- function(arguments) {
  place <- new.env()
  data(list = arguments[2], package = arguments[1], envir = place)
  frame <- as.data.frame(get(arguments[2], envir = place))[, arguments[-(1:3)]]
  frame <- frame[complete.cases(frame), ]
  write.csv(format(frame, digits = 17), arguments[3], row.names = FALSE, quote = FALSE)
}

write_fits <- function(arguments) {
  rows <- as.matrix(read.csv(arguments[1]))
  y <- rows[, 1]
  x <- rows[, -1, drop = FALSE]
  number <- as.numeric(arguments[4:8])
  fit <- METHODS[[arguments[3]]]
  package <- if (startsWith(arguments[3], "flexmix")) "flexmix" else "mixtools"
  suppressMessages(library(package, character.only = TRUE, quietly = TRUE)) # not within the clock
  fixed <- arguments[3] %in% c("flexmix-constant", "regmixEM")
  spent <- 0
  for (start in seq_len(number[2])) {
    if (spent > number[5]) break
    set.seed(number[3] + start)
    row <- one_fit(fit, x, y, number[1], number[4], fixed)
    spent <- spent + row$seconds
    row <- cbind(start = start, row)
    append <- start > 1
    write.table(row, arguments[2],
      sep = ",", append = append, col.names = !append, row.names = FALSE, qmethod = "double"
    )
  }
}

one_fit <- function(fit, x, y, k, tolerance, fixed) {
  clock <- proc.time()
  made <- tryCatch(
    {
      capture.output(value <- fit(x, y, k, tolerance)) # mixtools prints
      value
    },
    error = function(e) conditionMessage(e)
  )
  seconds <- sum((proc.time() - clock)[1:2])
  empty <- data.frame(
    own = NA, loglik = NA, polished = NA, gradient = NA, seconds = seconds, iterations = NA,
    kept = NA, converged = NA, restarts = NA, variance = NA, points = NA, steepest = NA,
    parameters = "", message = ""
  )
  if (is.character(made)) {
    empty$message <- gsub("[\n\"]", " ", made)
    return(empty)
  }
  row <- empty
  row[c("own", "iterations", "converged", "restarts")] <-
    made[c("own", "iterations", "converged", "restarts")]
  row$kept <- ncol(made$coef)
  row$loglik <- log_likelihood(made, cbind(1, x), y)
  best <- polish(made, x, y, fixed)
  row$polished <- best$loglik
  row$gradient <- best$gradient
  row$variance <- best$variance
  row$points <- best$points
  row$steepest <- best$steepest
  row$parameters <- best$parameters
  row
}

# Each returns gate (p, k), coef (p, k), sigma (k), intercepts first, and own, iterations,
# converged, restarts (new starting values that the package drew within the start).

with_flexmix <- function(x, y, k, tolerance, concomitant) {
  frame <- data.frame(y = y, x)
  inputs <- paste(names(frame)[-1], collapse = " + ")
  gate <- if (concomitant) FLXPmultinom(as.formula(paste("~", inputs))) else FLXPconstant()
  found <- flexmix(as.formula(paste("y ~", inputs)),
    data = frame, k = k, model = FLXMRglm(family = "gaussian"), concomitant = gate,
    control = list(minprior = 0, iter.max = ITERATIONS, tolerance = tolerance)
  )
  parts <- lapply(found@components, function(c) c[[1]]@parameters)
  coef <- sapply(parts, function(p) p$coef)
  gate <- if (concomitant && found@k > 1) found@concomitant@coef else constant_gate(found@prior, coef)
  list(
    gate = matrix(gate, nrow(coef)), coef = coef, sigma = sapply(parts, function(p) p$sigma),
    own = found@logLik, iterations = found@iter, converged = found@converged, restarts = 0
  )
}

with_mixtools <- function(x, y, k, name) {
  if (name == "hmeEM" && (k != 2 || ncol(x) != 1)) stop("hmeEM: two experts and one input only")
  found <- if (name == "hmeEM") {
    hmeEM(y, x, k = k, maxit = ITERATIONS)
  } else {
    regmixEM(y, x, k = k, arbvar = TRUE, maxit = ITERATIONS)
  }
  gate <- if (name == "hmeEM") {
    cbind(found$w, 0) # weight of the first expert: logistic(w1 + w2 x)
  } else {
    constant_gate(found$lambda, found$beta)
  }
  iterations <- length(found$all.loglik) - 1
  list(
    gate = gate, coef = found$beta, sigma = found$sigma, own = found$loglik,
    iterations = iterations, converged = iterations < ITERATIONS, restarts = found$restarts
  )
}

constant_gate <- function(prior, coef) {
  rbind(log(prior), matrix(0, nrow(coef) - 1, ncol(coef)))
}

METHODS <- list(
  "flexmix" = function(x, y, k, tolerance) with_flexmix(x, y, k, tolerance, TRUE),
  "flexmix-constant" = function(x, y, k, tolerance) with_flexmix(x, y, k, tolerance, FALSE),
  "hmeEM" = function(x, y, k, tolerance) with_mixtools(x, y, k, "hmeEM"),
  "regmixEM" = function(x, y, k, tolerance) with_mixtools(x, y, k, "regmixEM")
)

log_sum <- function(a) {
  top <- apply(a, 1, max)
  top + log(rowSums(exp(a - top)))
}

# log of weight times density, (n, k); X has the column of ones
joint <- function(at, X, y) {
  scores <- X %*% at$gate
  k <- ncol(scores)
  densities <- sapply(seq_len(k), function(j) dnorm(y, X %*% at$coef[, j], at$sigma[j], log = TRUE))
  scores - log_sum(scores) + densities
}

log_likelihood <- function(at, X, y) sum(log_sum(joint(at, X, y)))

# Maximum from `made` on standardised data, where one step length suits all parameters. The first
# score is 0; with fixed weights only intercepts of scores are free.
polish <- function(made, x, y, fixed) {
  n <- length(y)
  k <- ncol(made$coef)
  centre <- colMeans(x)
  width <- apply(x, 2, sd)
  shift <- mean(y)
  unit <- sd(y)
  X <- cbind(1, t((t(x) - centre) / width))
  y_unit <- (y - shift) / unit
  standard <- function(b) rbind(b[1, ] + colSums(b[-1, , drop = FALSE] * centre), b[-1, ] * width)
  back <- function(b) {
    slopes <- b[-1, , drop = FALSE] / width
    rbind(b[1, ] - colSums(slopes * centre), slopes)
  }
  coef <- standard(made$coef) / unit
  coef[1, ] <- coef[1, ] - shift / unit
  gate <- standard(made$gate)
  gate <- gate - gate[, 1]
  p <- nrow(coef)
  free <- if (fixed) 1 else p
  gates <- free * (k - 1)
  unpack <- function(v) {
    g <- matrix(0, p, k)
    if (k > 1) g[seq_len(free), -1] <- v[seq_len(gates)]
    list(
      gate = g, coef = matrix(v[gates + seq_len(p * k)], p),
      sigma = exp(v[gates + p * k + seq_len(k)])
    )
  }
  value <- function(v) -log_likelihood(unpack(v), X, y_unit)
  slope <- function(v) {
    at <- unpack(v)
    both <- joint(at, X, y_unit)
    posterior <- exp(both - log_sum(both))
    scores <- X %*% at$gate
    weights <- exp(scores - log_sum(scores))
    z <- t(t(y_unit - X %*% at$coef) / at$sigma)
    of_gate <- t(X[, seq_len(free), drop = FALSE]) %*% (posterior - weights)[, -1, drop = FALSE]
    of_coef <- t(t(t(X) %*% (posterior * z)) / at$sigma)
    -c(of_gate, of_coef, colSums(posterior * (z^2 - 1)))
  }
  v <- c(gate[seq_len(free), -1], coef, pmax(log(made$sigma / unit), SMALLEST))
  lower <- c(rep(-Inf, length(v) - k), rep(SMALLEST, k))
  for (round in 1:3) { # PORT stops early now and then
    found <- nlminb(v, value, slope,
      lower = lower,
      control = list(eval.max = 1000, iter.max = 500, rel.tol = 1e-15, x.tol = 1e-13)
    )
    v <- found$par
  }
  at <- unpack(v)
  steepest <- if (k > 1) max(abs(at$gate)) else 0
  best <- list(gate = back(at$gate), coef = back(at$coef) * unit, sigma = at$sigma * unit)
  best$coef[1, ] <- best$coef[1, ] + shift
  raw <- cbind(1, x)
  both <- joint(best, raw, y)
  list(
    loglik = log_likelihood(best, raw, y), gradient = max(abs(slope(v))),
    variance = min(at$sigma)^2, points = min(colSums(exp(both - log_sum(both)))),
    steepest = steepest,
    parameters = paste(format(c(best$gate, best$coef, best$sigma^2), digits = 17), collapse = " ")
  )
}

main(commandArgs(trailingOnly = TRUE))
