"""Claims: how they are decided, read, compared over seeds, and shown on the page."""

import pytest

from mmwsss.recipes import (
    Recipe,
    RecipeError,
    Script,
    Train,
    claims_page,
    compare,
    decide,
    read_claims,
    read_runs,
    repeat_for_seeds,
    write_run,
)

CLAIM = dict(text='A is better than B', source='Paper, Table 1', better=['maps', 'a'], worse=['maps', 'b'])


def recipe(*claims: dict, **keys) -> Recipe:
    stages = (Train('net', 'train', config='c.py'), Script('maps', 'script', script='x.py', outputs=('y', )))
    return Recipe('Some', stages, path='configs/claims/recipe_some.py', claims=claims, **keys)


def results(*pairs: tuple) -> dict:
    return {'some:maps': {seed: {'a cam/mIoU': a, 'b cam/mIoU': b, 'a cam/oracle_mIoU': b, 'b cam/oracle_mIoU': a}
                          for seed, (a, b) in enumerate(pairs)}}


@pytest.mark.parametrize(('differences', 'verdict'), [
    ((1., 2., 3.), 'holds'),
    ((.1, .1, 30.), 'holds'),  # all seeds agree, whatever the spread
    ((5., 5., 5., -.1, 5., 5.), 'holds'),  # one seed does not, and the mean is far above its standard error
    ((-1., -2., -3.), 'does not hold'),
    ((-1., 2., 1.), 'not decided'),
    ((0., 0., 0.), 'not decided'),
    ((5., 5.), 'not decided'),  # too few seeds
])
def test_a_verdict_needs_agreement_or_a_clear_mean(differences, verdict):
    assert decide(differences) == verdict


def test_seeds_are_paired_and_the_oracle_compares_other_numbers():
    claim, = read_claims(recipe(CLAIM))
    found = results((60., 50.), (50., 45.), (55., 54.))
    del found['some:maps'][1]['b cam/mIoU']
    fixed = compare(claim, found)
    assert (fixed.seeds, fixed.differences) == ((0, 2), (10., 1.))
    assert compare(claim, found, oracle=True).differences == (-10., -5., -1.)
    assert compare(claim, {}).verdict == 'not run'


def test_a_claim_may_compare_with_another_recipe_and_with_any_metric():
    claim, = read_claims(recipe(dict(CLAIM, worse=['other:quality', 'pseudo/mIoU', 'labels'])))
    found = {**results((60., 50.)), 'other:quality': {0: {'pseudo/mIoU': 48.}}}
    assert compare(claim, found).worse == (48., )
    assert claim.worse.label == 'labels'


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(better=['mops', 'a']), "no stage 'mops'.*did you mean 'maps'"),
    (dict(better='maps'), 'must be a stage, a map or metric'),
    (dict(result='holds'), 'unknown: result'),
    (dict(source=None), 'source'),
])
def test_wrong_claims_are_refused(changes, message):
    item = {key: value for key, value in {**CLAIM, **changes}.items() if value is not None}
    with pytest.raises(RecipeError, match=message):
        read_claims(recipe(item))


def test_results_are_written_per_seed_and_read_again(tmp_path):
    repeated = repeat_for_seeds(recipe(CLAIM), (0, 2))
    records = [dict(name=f'net-seed{seed}', results={'cam/mIoU': 40. + seed}, seconds=60., title='', split='',
                    command='', figure=None) for seed in (0, 2)]
    write_run(tmp_path / 'some.json', repeated, records, dict(data='photos'))
    run = read_runs(tmp_path)['some']
    assert run['data'] == 'photos'
    assert run['stages']['net'] == {seed: dict(results={'cam/mIoU': 40. + seed}, seconds=60.) for seed in (0, 2)}
    (tmp_path / 'other.json').write_text('{"tool": "test.py", "metrics": {}}')
    with pytest.raises(ValueError, match='other.json was not written by run_claims.py'):
        read_runs(tmp_path)


def test_the_page_has_numbers_verdicts_reasons_and_what_was_not_run():
    shown = recipe(dict(CLAIM, reason='B was trained for longer.'), about='Both are trained.')
    claims = [*shown.claims, dict(CLAIM, text='C is better', better=['maps', 'c'])]
    shown = recipe(*claims, about='Both are trained.')
    stages = {'maps': {seed: dict(results=found, seconds=1800.)
                       for seed, found in results((60., 50.), (50., 45.), (55., 54.))['some:maps'].items()}}
    page = claims_page([shown], {'some': dict(config=shown.path, data='photos', stages=stages)})
    row, = (line for line in page.splitlines() if line.startswith('| A is better than B'))
    assert row == ('| A is better than B | Paper, Table 1 | a 55.0 ± 5.0 | b 49.7 ± 4.5 | +5.3 ± 4.5 | holds '
                   '| -5.3 ± 4.5 | does not hold |')
    assert 'At the fixed score: 1 holds, 1 not run. All stages took 1.5 hours of wall-clock time.' in page
    assert '*A is better than B*: B was trained for longer.' in page
    assert 'Both are trained.' in page
    assert '| C is better | Paper, Table 1 | `python tools/run_claims.py --only some --data-root DATA` |' in page
